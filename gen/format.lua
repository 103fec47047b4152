-- format.lua: what the name of a weight format says, w<bits>g<group><options>.
--
-- bits: 1, t (ternary), 2 to 6, 8.  group: weights along K that share a scale, or r: the whole row.
-- options: z a minimum per group, n a 16-entry codebook, k two-level scales (groups have whole multiples of
-- a scale, and a minimum, of 256 weights).  runtime/format.h says the same in C.

local format = {}

-- In the order of enum qn_format_id.
local names = {
  "w1g32", "w1g128", "wtg256", "wtgr", "w2g32", "w2g64", "w2g128", "w2g32z", "w2g64z", "w2g128z",
  "w2g16zk", "w3g32", "w3g64", "w3g128", "w3g32z", "w3g64z", "w3g128z", "w3g16k", "w4g32", "w4g64",
  "w4g128", "w4g32z", "w4g64z", "w4g128z", "w4g32n", "w4g128n", "w4g32zk", "w4g32nk", "w5g32",
  "w5g32z", "w5g32zk", "w6g32", "w6g16k", "w8g32", "w8g128",
}

-- bits -> code width, number of codes, mul, sub: level = mul * code - sub
local codes = {
  ["1"] = { bits = 1, n_codes = 2, mul = 2, sub = 1 },
  t = { bits = 2, n_codes = 3, mul = 1, sub = 1 },
}
for _, bits in ipairs { 2, 3, 4, 5, 6, 8 } do
  codes[tostring(bits)] = { bits = bits, n_codes = 1 << bits, mul = 1, sub = 1 << bits - 1 }
end

-- Levels of a codebook (IQ4_NL's) and what is added to make them bytes without a sign.
local codebook = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 }
local codebook_offset = 128

-- Powers of two that a code is cut into, high to low in width.
local parts = { { 1 }, { 2 }, { 2, 1 }, { 4 }, { 4, 1 }, { 4, 2 }, nil, { 8 } }

-- Weights that share a float scale where groups have whole multiples of it; bits of such a multiple in
-- a panel.
local super_group = 256
local sub_bits = { w2g16zk = 4 }
-- The least and the largest of these multiples, where they are narrower than a byte.
local sub_range = { w2g16zk = { 0, 15 }, w3g16k = { -32, 31 }, w4g32zk = { 0, 63 }, w5g32zk = { 0, 63 } }

function format.names()
  return names
end

local function describe(name, rank)
  local bits, group, options = name:match("^w([%dt])g(%d*r?)(%l*)$")
  local f = { name = name, rank = rank, id = "QN_" .. name:upper() }
  for key, v in pairs(codes[bits]) do f[key] = v end
  f.parts = parts[f.bits]
  f.group = group == "r" and 0 or math.tointeger(tonumber(group))
  f.has_min = options:find("z") ~= nil
  f.super = options:find("k") and super_group or 0
  f.sub_bits = f.super > 0 and (sub_bits[name] or 8) or 0
  f.sub_low, f.sub_high = table.unpack(sub_range[name] or { -128, 127 })
  f.codebook = options:find("n") and codebook or false
  if f.has_min then f.sub = 0 end
  if f.codebook then f.sub = codebook_offset end
  f.top = f.codebook and 255 or f.mul * (f.n_codes - 1)
  f.block = math.max(f.super, f.group, 32)
  -- What the scales of a block take for each row, in bytes; those of two levels are f16 and bytes.
  f.float_bytes = f.group == 0 and 0 or f.has_min and 4 or 2
  f.sub_bytes = f.super == 0 and 0 or f.sub_bits == 4 and 1 or f.has_min and 2 or 1
  f.head_bytes = f.float_bytes + f.sub_bytes * (f.super // math.max(f.group, 1))
  f.halves = f.group == 16 and 2 or 1
  return f
end

-- { name, rank (its place in names), id; bits, n_codes, mul, sub, codebook (levels or false), top (the
-- largest unsigned code that is multiplied), parts; group (0: one scale a row), halves (groups in
-- 32 k, at least 1), super (0, or 256 with two levels), sub_bits, sub_bytes (of a group), sub_low, sub_high (range of the multiples), has_min; block (k of a block), float_bytes, head_bytes }
function format.get(name)
  for rank, known in ipairs(names) do
    if known == name then return describe(name, rank) end
  end
  error(("format '%s' is not known: one of %s"):format(name, table.concat(names, ", ")), 0)
end

return format
