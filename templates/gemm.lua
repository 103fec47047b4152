-- gemm: many tokens.
--
-- KC columns of a panel are decoded once, codes to bytes and scales to floats, and stay in the
-- second-level cache; with FOLD the codes of formats with two levels are decoded to levels times their whole
-- multiple, so that 256 k share a scale.  Tiles of RG vectors of rows and NT tokens are multiplied from there.  PG panels
-- take their turns with the same columns, so that the activations of those stay near as well.  The packed
-- weights are those of dot.

local isa_rows = require("isa")
local panel = require("panel")

local pass_tokens = 512   -- QN_PASS_TOKENS of runtime/kernel.h

-- How far levels times multiples of the scale go, when that fits a byte that the ISA multiplies; or nil.
local function folded(format, row)
  if format.super == 0 or format.codebook then return nil end
  local low, high = 0, 0
  for _, code in ipairs { 0, format.n_codes - 1 } do
    for _, multiple in ipairs { format.sub_low, format.sub_high } do
      local v = (format.mul * code - format.sub) * multiple
      low, high = math.min(low, v), math.max(high, v)
    end
  end
  return high - low <= (row.codes8 == "signed" and 127 or 255) and { low = low, high = high } or nil
end

local gemm = {
  name = "gemm",
  template = "gemm.c.tmpl",
  doc = "many tokens, codes decoded once",
  parameters = {
    { name = "RV", tile = "r", values = { 1, 2, 3, 4, 6, 8, 12, 16 }, ordered = true },
    { name = "RG", tile = "g", values = { 1, 2, 3, 4 }, ordered = true },
    { name = "NT", tile = "n", values = { 1, 2, 3, 4, 6, 8, 10, 12 }, ordered = true },
    { name = "KC", tile = "k", values = { 256, 512, 1024, 2048, 4096 }, ordered = true },
    { name = "PG", tile = "m", values = { 1, 2, 4, 8 }, ordered = true },
    { name = "ORDER", tile = "o", values = { "rows", "tokens" } },
    { name = "PART", tile = "p", values = function(format)
      return format.group > 32 and format.super == 0 and { 0, 1 } or { 0 }
    end },
    { name = "FOLD", tile = "f", values = function(format, row) return folded(format, row) and { 0, 1 } end, usual = 0 },
    { name = "UNPACK", tile = "u", values = function(_, isa) return isa.unpack end },
    { name = "XB", tile = "x", values = panel.act_bits, usual = 8 },
    { name = "PACK", tile = "c", values = panel.packs_decoded, usual = "bits" },
  },
}

gemm.rules = {
  panel.even_rows(function(p) return p.RV end),
  function(p, _, isa)
    if p.PACK == "planes" and isa.tables[#isa.tables] == 2 and p.RV % 2 == 1 then
      return "RV must be even: a vector of bit planes has the rows of two of codes"
    end
  end,
  function(p)
    if p.RV % p.RG ~= 0 then return ("RG=%d does not divide RV=%d"):format(p.RG, p.RV) end
  end,
  function(p, format, isa, act)
    if p.PART == 1 and act ~= "a8g32" then return "PART has no meaning where sums of a scale's span stay integers" end
  end,
  function(p, format, isa)
    local live = p.RG * p.NT * (p.FOLD == 1 and 1 or format.halves) + p.RG + 1
    if live > isa.registers or live < isa.registers // 4 then
      return ("RG=%d NT=%d keeps %d vectors alive, %s has %d registers"):format(p.RG, p.NT, live,
        isa.name, isa.registers)
    end
  end,
  function(p, format, isa, act)
    if p.FOLD == 1 and act ~= "a8g32" and isa.lanes and format.has_min and format.halves == 2 then
      return "FOLD=1 has one start for 256 k, the minima want sums over 16"
    end
  end,
  function(p, _, isa)
    if isa.mmla and p.NT % 2 == 1 then return "matrix products take two tokens at a time" end
  end,
  function(p, _, isa)
    if p.RV * isa.vector_bytes // 4 * p.KC > 512 << 10 then
      return "RV * KC: the decoded panel has to stay in a second-level cache"
    end
  end,
  panel.needed_unpack,
  panel.four_vectors,
  panel.act_blocks,
  function(p)
    if p.PACK == "fours" and p.FOLD == 0 then return "PACK=fours is decoded with FOLD=1" end
  end,
}

gemm.is_lossy = panel.is_lossy

function gemm.default(format, isa)
  local wide = isa.registers == 32
  return {
    RV = wide and 4 or 2, RG = 2, NT = isa.mmla and format.halves == 2 and 4 or (wide and 6 or 2) // format.halves, KC = 1024, PG = 2, ORDER = "rows", PART = 0,
    UNPACK = "shift",
  }
end

-- Whether a point is worth trying for n tokens.
function gemm.suits(point, n)
  return n >= 4 and point.NT <= n
end

-- The point for panels of RV vectors of rows, packed so; nil where there is none.
function gemm.relayout(point, rv, pack)
  local other = panel.relayout(point, rv, pack)
  if not other then return nil end
  while rv % other.RG ~= 0 do other.RG = other.RG - 1 end
  if other.RG == 1 then other.NT = 8 end
  while rv * other.KC > 4 * 4096 do other.KC = other.KC // 2 end
  return other
end

function gemm.vars(point, format, isa, act)
  local vars = panel.vars(point, format, isa, act)
  vars.fold = point.FOLD == 1
  vars.halves, vars.min_halves = format.halves, format.halves
  vars.span = format.group
  if vars.fold then
    local range = folded(format, isa)
    vars.sub, vars.bias = -range.low, range.low
    vars.depth = isa_rows.depth(isa, range.high - range.low, vars.act_top) or 8
    vars.halves, vars.span = 1, format.super
  end
  -- KC in whole blocks, for trits about as much in theirs.
  local kc = point.KC // vars.block * vars.block
  local span = vars.span > 0 and math.min(vars.span, kc) or kc
  local min_span = format.group > 0 and math.min(format.group, kc) or kc
  -- Minima of a8g256 are summed as integers, two groups at a time, where an ISA can: a block has its f16 minima, then
  -- pairs of sub-minima.
  vars.min_pairs = vars.per_block and format.has_min and isa.pairs16 or false
  vars.min_pair_rows = format.super // math.max(format.group, 1) // 2
  local min_rows = vars.min_pairs and kc // format.super * (1 + vars.min_pair_rows) or kc // min_span
  local floats = format.group == 0 and 0 or kc // span + (format.has_min and min_rows or 0)
  vars.kc, vars.span = kc, span
  vars.step_min = format.has_min and min_span <= 32   -- minima of no more than 32 k
  vars.zero_level = format.sub                    -- the code of level 0
  vars.scaled = format.group > 0                  -- by more than a scale a row
  vars.long_span = span > 32                      -- a scale for more than one group of 32 k
  vars.min_floats = vars.panel_rows * (kc // span)   -- scales, which minima stand behind
  vars.steps = vars.block // 32                   -- groups of 32 k in a block
  -- Its scales, but for the bytes of two levels in front of every 32 k of codes.
  vars.head = (vars.by_rows and format.head_bytes or format.float_bytes) * vars.panel_rows
  vars.sub_step = (vars.by_rows or vars.fours) and 0 or format.sub_bytes * format.halves * vars.panel_rows
  vars.row_head = format.group == 0 and 4 * vars.panel_rows or 0
  vars.step_bytes = point.RV * vars.vector_bytes + vars.sub_step
  if vars.fours then vars.step_bytes = vars.step_bytes + vars.vector_rows * 2 * point.RV end
  vars.block_bytes = vars.head + (vars.trits and 1 or vars.steps) * vars.step_bytes
  vars.chunk_bytes = kc // vars.block * vars.block_bytes
  vars.mmla = isa.mmla or false
  vars.direct = format.bits == 8 and not isa.mmla -- packed codes are bytes already
  vars.byte_area = vars.direct and 0 or vars.panel_rows * kc
  -- Sums over halves, for minima or for starts; a tile's starts stand before its minima.
  vars.tile_halves = format.has_min and vars.min_halves or vars.halves
  vars.start_k = 32 // vars.tile_halves
  vars.prepared_sums = vars.min_pairs and "QN_SUM_PAIRS" or format.has_min and "QN_SCALED_SUMS" or "QN_NO_SUMS"
  if isa.lanes then
    -- Sums that stay integers have one start for all of a scale's span, or for 256 k: they carry on.  Chunks of
    -- blocks of trits start at any 32 k.
    vars.carried = vars.late and vars.long_span
    if vars.carried then vars.start_k = vars.scaled and span or vars.trits and 32 or 256 end
    vars.float_start = not vars.carried or vars.scaled
  end
  -- Words of a token's scale and of a start in a prepared tile: with lanes starts fill 16 bytes, with matrix products two
  -- tokens' share one, scales as well.
  vars.scale_words, vars.start_words = isa.mmla and 2 or 1, isa.mmla and 2 or isa.lanes or 1
  vars.tile_bytes = 32 + 4 * vars.scale_words
    + 4 * vars.tile_halves * vars.start_words
    + (vars.min_pairs and 4 or format.has_min and 4 * vars.tile_halves * vars.scale_words or 0)
  vars.prepared_bytes, vars.prepare = vars.tile_bytes, "qn_tiles_" .. isa.name
  -- Sums of all tokens of a pass wait in scratch memory for the next columns: rows of y may lie a power of two apart,
  -- where they would drive each other out of the caches.  The last columns' tiles write y, each line of it once.
  vars.sum_area = vars.byte_area + 4 * vars.panel_rows * floats
  vars.sum_floats = (pass_tokens + point.NT - 1) // point.NT * point.NT * vars.panel_rows
  vars.scratch_bytes = vars.sum_area + 4 * point.PG * vars.sum_floats
  return vars
end

return gemm
