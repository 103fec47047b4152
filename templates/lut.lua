-- lut: table lookups, few tokens.
--
-- The sums of all 16 subsets of 4 activations are tabled once per token; a bit plane of 4 weights is
-- the index.  A sum of 4 int8 needs 10 bits, so a table is two byte planes: low = sum mod 32 and
-- high = floor(sum / 32), in 0..31 and -16..15.  Eight of them (32 activations) add up to at
-- most 248 and to -128..120: both planes are summed in bytes, exactly.
--
-- With ADDS a table is one plane, which is lossy: the sums with signs, x0 +- x1 +- x2 +- x3, of 32 activations share a
-- float scale and are rounded to at most 127 / ADDS, so that ADDS of them add up in a byte.

local panel = require("panel")

local lut = {
  name = "lut",
  template = "lut.c.tmpl",
  doc = "exact table lookups, bit-serial",
  parameters = {
    { name = "RV", tile = "r", values = { 1, 2, 3, 4, 6, 8, 12 }, ordered = true },
    { name = "KU", tile = "k", values = { 1, 2, 4 }, ordered = true },
    { name = "PF", tile = "p", values = { 0, 1024, 2048, 4096, 8192, 16384 }, ordered = true },
    { name = "NT", tile = "n", values = { 1, 2, 4 }, ordered = true },
    { name = "ADJ", tile = "a", values = function(_, isa) return isa.tables end },
    { name = "ADDS", tile = "q", values = { 0, 1, 2, 4 }, usual = 0 },
  },
}

-- Vectors of 32-bit sums in a panel: a vector of bytes holds VB rows when ADJ is 1.
local function sums(p)
  return p.ADJ == 1 and 4 * p.RV or p.RV
end

lut.rules = {
  panel.even_rows(sums),
  panel.near_floats(sums),
  panel.whole_blocks,
  function(p, _, _, act)
    if p.ADDS > 0 and act == "a8r" then return "rounded tables have a scale for 32 activations" end
  end,
  function(p)
    if p.ADDS > 1 and p.ADJ == 4 then return "four tables side by side add up in 32 bits" end
  end,
}

function lut.is_lossy(point)
  return point.ADDS > 0
end

-- nil, or why there is no kernel for a format.
function lut.refuses(format)
  if format.halves == 2 then return "lookups sum 32 activations at a time" end
  if format.codebook then return "lookups are bit-serial, a codebook is not" end
end

function lut.default(format, isa)
  local adj = isa.tables[#isa.tables]
  return {
    RV = adj == 4 and 4 or 1, KU = 1, PF = isa.name == "scalar" and 0 or 4096, NT = 1, ADJ = adj,
  }
end

-- Whether a point is worth trying for n tokens.
function lut.suits(point, n)
  return point.NT <= n
end

function lut.relayout(point, rv, pack)
  return pack == "planes" and point.ADJ == 4 and panel.relayout(point, rv, "bits") or nil
end

function lut.vars(point, format, isa)
  return {
    adjacent = point.ADJ, signed_codes = 0, order = "QN_PLANES",
    pack = point.ADJ == 4 and "planes" or "narrow planes", trits = false, RG = 1,
    panel_rows = point.RV * isa.vector_bytes // point.ADJ, vector_rows = isa.vector_bytes // point.ADJ,
    vector_bytes = isa.vector_bytes // point.ADJ * 4 * format.bits,
    -- Rounded sums with signs are mul * (2 code - (2^bits - 1)) / 2: what is missing to the level, twice.
    bias = point.ADDS > 0 and format.mul * ((1 << format.bits) - 1) - 2 * format.sub or -format.sub,
    rounded = point.ADDS > 0, act_top = 127,
    prepared_bytes = point.ADDS > 0 and 136 or 256, scratch_bytes = 0, start_k = 0, scaled_sums = false,
    prepare = point.ADDS > 0 and "qn_rounded_tables_" .. isa.name or ("qn_tables%d_%s"):format(point.ADJ, isa.name),
    sub = format.sub, lanes = false, carried = false, exps = { 0 }, float_start = false,
  }
end

return lut
