-- lut: table lookups, few tokens.
--
-- The sums of all 16 subsets of 4 activations are tabled once per token; a bit plane of 4 weights is
-- the index.  A sum of 4 int8 needs 10 bits, so a table is two byte planes: low = sum mod 32 and
-- high = floor(sum / 32), in 0..31 and -16..15.  Eight of them (32 activations) add up to at
-- most 248 and to -128..120: both planes are summed in bytes, exactly.
--
-- With ADDS a table is one plane, which is lossy: the sums with signs, x0 +- x1 +- x2 +- x3, of 32 activations share a
-- float scale and are rounded to at most 127 / ADDS, so that ADDS of them add up in a byte.

--
-- With ADJ = 2 two groups lie side by side and share a 32-byte table; their sums are added in pairs, into 16 bits.  With
-- SIDE = 2 both bit planes of a 2-bit code do so, too, and a product with 1, 1, 2, 2 adds all four up.  The more vector
-- rows (RV) share the tables of a step, the better.  Rounded tables then have a scale for SPAN activations.

local panel = require("panel")

local lut = {
  name = "lut",
  template = "lut.c.tmpl",
  doc = "exact table lookups, bit-serial",
  parameters = {
    { name = "RV", tile = "r", values = { 1, 2, 3, 4, 6, 8, 12, 16 }, ordered = true },
    { name = "KU", tile = "k", values = { 1, 2, 4 }, ordered = true },
    { name = "PF", tile = "p", values = { 0, 1024, 2048, 4096, 8192, 16384 }, ordered = true },
    { name = "NT", tile = "n", values = { 1, 2, 4 }, ordered = true },
    { name = "ADJ", tile = "a", values = function(_, isa) return isa.tables end },
    { name = "ADDS", tile = "q", values = { 0, 1, 2, 4 }, usual = 0 },
    { name = "SIDE", tile = "b", values = function(format, isa) return isa.tables[2] == 2 and format.bits == 2 and { 1, 2 } end,
      usual = 1 },
    { name = "SPAN", tile = "s", values = function(_, isa) return isa.tables[2] == 2 and { 32, 64, 128 } end,
      ordered = true, usual = 32 },
  },
}

-- Vectors of 32-bit sums in a panel: a vector of bytes holds VB rows when ADJ is 1.
local function sums(p)
  return p.ADJ == 1 and 4 * p.RV or p.ADJ == 2 and p.SIDE ~= 2 and 2 * p.RV or p.RV
end

lut.rules = {
  panel.even_rows(sums),
  panel.near_floats(sums),
  panel.whole_blocks,
  function(p, _, _, act)
    if p.ADDS > 0 and act == "a8r" then return "rounded tables have a scale for 32 activations" end
  end,
  function(p)
    if p.ADDS > 1 and p.ADJ > 1 then return "tables side by side add up in more than a byte" end
  end,
  function(p)
    if p.SIDE == 2 and p.ADJ ~= 2 then return "two planes side by side want two tables side by side" end
  end,
  function(p, format, isa)
    if p.ADJ ~= 2 then return nil end
    if format.bits > 3 then return "sums of more than three planes do not fit 16 bits" end
    local sums = p.RV * p.NT * (p.SIDE == 2 and 1 or format.bits * (p.ADDS > 0 and 1 or 2))
    if sums + p.RV > isa.registers then
      return ("RV=%d NT=%d keeps %d sums, %s has %d registers"):format(p.RV, p.NT, sums, isa.name, isa.registers)
    end
  end,
  function(p, format)
    if (p.SPAN or 32) == 32 then return nil end
    if format.super > 0 or format.has_min then return "SPAN wants one scale, and no minimum, for all of it" end
    if p.ADJ ~= 2 or p.ADDS == 0 then return "only rounded tables, two side by side, have a scale for more than 32" end
    if format.block % p.SPAN ~= 0 then return ("SPAN=%d does not divide a block"):format(p.SPAN) end
    if format.block // p.SPAN % p.KU ~= 0 then return ("KU=%d does not divide the spans of a block"):format(p.KU) end
  end,
}

function lut.is_lossy(point)
  return point.ADDS > 0
end

-- nil, or why there is no kernel for a format.
function lut.refuses(format, act)
  if act == "a8g256" then return "tables and sums of lookups have a scale for 32 activations or one a token" end
  if format.halves == 2 then return "lookups sum 32 activations at a time" end
  if format.codebook then return "lookups are bit-serial, a codebook is not" end
end

function lut.default(format, isa)
  local adj = isa.tables[#isa.tables]
  return {
    RV = adj > 1 and 4 or 1, KU = 1, PF = panel.prefetch(isa), NT = 1, ADJ = adj,
  }
end

-- Whether a point is worth trying for n tokens.
function lut.suits(point, n)
  return point.NT <= n
end

function lut.relayout(point, rv, pack)
  local own = point.SIDE == 2 and "pairs" or "planes"
  if pack ~= own or point.ADJ == 1 then return nil end
  return panel.relayout(point, point.ADJ == 2 and point.SIDE ~= 2 and rv // 2 or rv, "bits")
end

-- The same for tables two side by side: the instruction set's part of vars.
local function side_by_side(vars, point, format, isa, act)
  local span, rounded = point.SPAN, point.ADDS > 0
  vars.step_k, vars.RG, vars.side = span, point.RV, point.SIDE == 2
  local int_sums = act == "a8r" and (format.group == 0 or format.group > 32)
  vars.carried = int_sums and vars.side
  vars.float_start = not int_sums or vars.carried and format.group > 0
  vars.start_k = vars.carried and (format.group > 0 and format.group or 256) or span
  vars.prepared_bytes = (rounded and 128 or 256) + 32 * 32 // span
  vars.record_bytes = vars.prepared_bytes * span // 32
  vars.start_at = vars.record_bytes - 32
  vars.prepare = (rounded and "qn_rounded_pairs_" or "qn_pair_tables_") .. isa.name
  if vars.side then
    vars.order, vars.pack, vars.adjacent = "QN_PLANE_PAIRS", "pairs", 4
    vars.panel_rows, vars.vector_rows = point.RV * isa.vector_bytes // 4, isa.vector_bytes // 4
    vars.vector_bytes = isa.vector_bytes * 2
  else
    vars.pack = "planes"
  end
  return vars
end

function lut.vars(point, format, isa, act)
  local vars = {
    adjacent = point.ADJ, signed_codes = 0, order = "QN_PLANES",
    pack = point.ADJ == 4 and "planes" or "narrow planes", trits = false, RG = 1,
    panel_rows = point.RV * isa.vector_bytes // point.ADJ, vector_rows = isa.vector_bytes // point.ADJ,
    vector_bytes = isa.vector_bytes // point.ADJ * 4 * format.bits,
    -- Rounded sums with signs are mul * (2 code - (2^bits - 1)) / 2: what is missing to the level, twice.
    bias = point.ADDS > 0 and format.mul * ((1 << format.bits) - 1) - 2 * format.sub or -format.sub,
    rounded = point.ADDS > 0, act_top = 127,
    prepared_bytes = point.ADDS > 0 and 136 or 256, scratch_bytes = 0, start_k = 0, prepared_sums = "QN_NO_SUMS",
    prepare = point.ADDS > 0 and "qn_rounded_tables_" .. isa.name or ("qn_tables%d_%s"):format(point.ADJ, isa.name),
    late = act ~= "a8g32", per_row = act == "a8r", per_block = false, pairs16 = false, short_sums = false,
    fours = false, step_k = 32, side = false, sub = format.sub, unrolls = point.ADJ == 2, lanes = isa.lanes or false, carried = false, exps = { 0 }, merged = panel.merged, start_at = 0, float_start = false,
  }
  return point.ADJ == 2 and side_by_side(vars, point, format, isa, act) or vars
end

return lut
