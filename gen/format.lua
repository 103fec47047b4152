-- format.lua: what the name of a weight format says, w<bits>g<group>.
--
-- Value of a weight: scale * (mul * code - sub).  runtime/format.c is the same in C.

local format = {}

-- In the order of enum qn_format_id.
local names = { "w1g128", "wtgr", "w2g64", "w3g128", "w4g32", "w8g32" }

-- bits -> code width, number of codes, mul, sub
local codes = {
  ["1"] = { bits = 1, n_codes = 2, mul = 2, sub = 1 },
  t = { bits = 2, n_codes = 3, mul = 1, sub = 1 },
  ["2"] = { bits = 2, n_codes = 4, mul = 1, sub = 2 },
  ["3"] = { bits = 3, n_codes = 8, mul = 1, sub = 4 },
  ["4"] = { bits = 4, n_codes = 16, mul = 1, sub = 8 },
  ["8"] = { bits = 8, n_codes = 256, mul = 1, sub = 128 },
}

-- Powers of two that a code is cut into, high to low in width.
local parts = { { 1 }, { 2 }, { 2, 1 }, { 4 }, { 4, 1 }, { 4, 2 }, nil, { 8 } }

function format.names()
  return names
end

-- { name, rank (its place in names), id, bits, n_codes, mul, sub, group (0: one scale a row),
-- block (k of a block), parts }
function format.get(name)
  for rank, known in ipairs(names) do
    if known == name then
      local bits, group = name:match("^w([%dt])g(%w+)$")
      local result = { name = name, rank = rank, id = "QN_" .. name:upper() }
      result.parts = parts[codes[bits].bits]
      for key, v in pairs(codes[bits]) do result[key] = v end
      result.group = group == "r" and 0 or math.tointeger(tonumber(group))
      result.block = result.group == 0 and 32 or result.group
      return result
    end
  end
  error(("format '%s' is not known: one of %s"):format(name, table.concat(names, ", ")), 0)
end

return format
