-- panel: what the families that read packed panels have in common: rules, relayouts, where codes and
-- scales lie.

local isa = require("isa")

local panel = {}

-- A rule of a family: nil, or why a point is illegal.  sums(point): vectors of 32-bit sums in a panel.
function panel.even_rows(sums)
  return function(p, format)
    if format.group > 0 and sums(p) % 2 == 1 then
      return "RV must be even: the f16 scales of a block have to fill whole vectors"
    end
  end
end

-- A rule: floats that are summed over all of K and over a block stay near, if not in registers.
function panel.near_floats(sums)
  return function(p, format, isa)
    local each = (format.block > 32 and 2 or 1) + (format.super > 0 and format.has_min and 1 or 0)
    local n = sums(p) * p.NT * each
    if n > 3 * isa.registers then
      return ("RV=%d NT=%d sums %d vectors, too many to hold near"):format(p.RV, p.NT, n)
    end
  end
end

-- KU steps of 32 k at a time have to end with the block.
function panel.whole_blocks(p, format)
  if format.block // 32 % p.KU ~= 0 and format.block > 32 then
    return ("KU=%d does not divide the %d steps of a block"):format(p.KU, format.block // 32)
  end
end

function panel.needed_unpack(p, format)
  if p.UNPACK ~= "shift" and (format.bits == 8 or (p.PACK or "bits") ~= "bits") then
    return "these codes are not taken out of bit fields"
  end
end

-- Bytes to prefetch ahead where nothing was measured: none on cores with SDOT, whose own prefetchers know streams.
function panel.prefetch(isa)
  return (isa.name == "scalar" or isa.lanes) and 0 or 4096
end

-- Whether codes of four vectors of rows can share bytes.
function panel.has_rows(format, row)
  return row.split and format.bits == 2 and format.sub_bits == 4 or false
end

-- Whether four groups of 16 k can share bytes: products stay below 2^8 * 2^7, which 16 bits do not take.
function panel.has_fours(format, row)
  return row.pairs16 and row.pairs == 0 and format.bits == 2 and format.sub_bits == 4 or false
end

-- Ternary codes as bit fields or five to a byte, which takes sums of any unsigned bytes, so no SDOT; codes of 2 bits with
-- two levels and 16 weights a group as bit fields, or those of four vectors of rows or of four groups in a byte.
function panel.packs(format, row)
  if panel.has_rows(format, row) then return { "bits", "rows" } end
  if panel.has_fours(format, row) then return { "bits", "fours" } end
  if format.n_codes ~= 3 or format.group > 0 or row.pairs > 0 then return nil end
  return row.lanes and row.codes8 == "signed" and { "bits" } or { "bits", "trits" }
end

-- What dot kernels of before that there was a choice took.
function panel.usual_pack(format)
  return format.super > 0 and "bits" or nil
end

-- Where kernels for many tokens can also read the bit planes of lookups with tables side by side.
function panel.packs_decoded(format, row)
  local tables = row.tables[#row.tables]
  local list = panel.packs(format, row) or { "bits" }
  if format.codebook or format.halves == 2 then return #list > 1 and list or nil end
  if tables == 4 and format.bits == 1 or tables == 2 and format.bits <= 3 then list[#list + 1] = "planes" end
  if tables == 2 and format.bits == 2 then list[#list + 1] = "pairs" end
  return #list > 1 and list or nil
end

-- A rule of a family: four vectors of rows share bytes.
function panel.four_vectors(p)
  if p.PACK == "rows" and p.RV ~= 4 then return "PACK=rows is for RV=4" end
end

-- A rule: which packings go with blocks of 256 activations.
function panel.act_blocks(p, _, _, act)
  if p.PACK == "fours" and act ~= "a8g256" then return "PACK=fours sums groups as integers, which want activations a8g256" end
  if p.PACK == "trits" and act == "a8g256" then return "blocks of trits do not end where those of 256 activations do" end
end

-- Bits of the activations, fewer than 8 where more products of them fit 16 bits then; nil where nothing is gained.
function panel.act_bits(format, row)
  if row.pairs == 0 or panel.is_signed(format, row) then return nil end
  local steps = 8 // format.halves
  local function run(bits) return math.min(steps, isa.depth(row, format.top, (1 << bits - 1) - 1)) end
  local list = { 8 }
  for bits = 7, 6, -1 do
    if run(bits) > run(list[#list]) then list[#list + 1] = bits end
  end
  return #list > 1 and list or nil
end

function panel.is_lossy(point)
  return (point.XB or 8) < 8
end

-- A copy of a point for panels of RV vectors of rows whose codes are packed so; nil where there is none.
function panel.relayout(point, rv, pack)
  local other = {}
  for name, v in pairs(point) do other[name] = v end
  other.RV = rv
  if pack ~= "bits" then
    if not point.PACK then return nil end
    other.UNPACK, other.KU = "shift", point.KU and 1
  end
  if point.PACK then other.PACK = pack end
  return other
end

-- Codes are multiplied signed where they are too large for the ISA's product of unsigned ones.
function panel.is_signed(format, row)
  return row.codes8 == "signed" and format.top > 127
end

-- For the 8 steps of 32 k (4 k each): vector, shift and mask of the low part of a code and of its top part.
local function fields(format)
  local low, top = format.parts[1], format.parts[2]
  local double = format.mul == 2 and 1 or 0   -- levels are 2 * code - 1: fields are taken one bit higher
  local list = {}
  for s = 0, 7 do
    local per_byte = 8 // low
    local f = { j = s // per_byte, shift = s % per_byte * low - double, mask = ((1 << low) - 1) << double }
    if top then
      f.top_j = s // (8 // top)
      f.top_shift = s % (8 // top) * top - low
      f.top_mask = ((1 << top) - 1) << low
    end
    list[s] = f
  end
  return list
end

-- Carried sums of one vector of rows and one token, sum[at * #exps] and so on, as one.
function panel.merged(exps, sum, at)
  local all = ("%s[%d]"):format(sum, at * #exps)
  for e = 2, #exps do
    all = ("vw_add(vw_shift_right(%s, %d), %s[%d])"):format(all, exps[e - 1] - exps[e], sum, at * #exps + e - 1)
  end
  return all
end

-- What templates of kernels want to know of layouts.
function panel.vars(point, format, row, act)
  local signed = panel.is_signed(format, row)
  local pack = point.PACK or "bits"
  local trits, pairs, by_rows, fours = pack == "trits", pack == "pairs", pack == "rows", pack == "fours"
  local planes = pairs or pack == "planes"
  local adjacent = pack == "planes" and row.tables[#row.tables] or 4
  local rows = point.RV * row.vector_bytes // 4
  local low, top = format.parts[1], format.parts[2]
  local act_top = (1 << (point.XB or 8) - 1) - 1
  local table_of = {}
  for i, level in ipairs(format.codebook or {}) do table_of[i] = signed and level & 255 or level + format.sub end
  return {
    adjacent = adjacent, signed_codes = signed and format.bits == 8 and 1 or 0,
    order = trits and "QN_TRITS" or by_rows and "QN_ROWS" or fours and "QN_FOURS" or pairs and "QN_PLANE_PAIRS" or planes and "QN_PLANES" or "QN_CODES", pack = pack, trits = trits,
    planes = planes, plane_pairs = pairs, by_rows = by_rows, fours = fours,
    panel_rows = rows, vector_rows = row.vector_bytes // 4,
    step_k = 32, unrolls = row.lanes ~= nil, lanes = row.lanes or false, carried = false, exps = { 0 }, merged = panel.merged, start_at = 0, float_start = false, start_k = 0, prepared_sums = "QN_NO_SUMS",
    signed = signed, sub = signed and 0 or format.sub, depth = isa.depth(row, format.top, act_top) or 8,
    wide_sums = row.pairs == 0,         -- products are summed in 32 bits
    per_row = act == "a8r",             -- one scale a token: it is applied at the end
    per_block = act == "a8g256",        -- one for each block: it is applied at its end
    late = act ~= "a8g32",              -- either
    pairs16 = row.pairs16 or false,
    short_sums = 16 * 127 * math.max(format.sub, format.mul * (format.n_codes - 1) - format.sub) < 1 << 15,
    bias = signed and 0 or -format.sub, rounded = false, act_top = act_top,
    n_low = low, n_top = top or 0, fields = fields(format), levels = table_of,
    block = trits and 160 or format.block,
    vector_bytes = row.vector_bytes * (trits and 8 or format.bits),
  }
end

return panel
