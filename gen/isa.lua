-- isa.lua: one row per instruction set.
--
-- A new one is a row here and a templates/vec_<name>.h.

local isa = {}

--   vector_bytes  width of a vector
--   registers     vector registers, for the legality of tiles
--   codes8        how 8-bit codes are multiplied: "signed" as code - 128, or "unsigned" against
--                 a start of -128 times the sum of the activations
--   tables        fields of one row side by side that a lookup can serve: 1 looks up 16-entry tables
--                 per 16-byte lane, 4 a 64-byte table that holds four groups
--   unpack        ways to take a field out of a byte
local rows = {
  {
    name = "scalar", arch = "any", features = "", flags = "", rank = 0, vector_bytes = 16,
    registers = 16, codes8 = "signed", tables = { 1 }, unpack = { "shift" },
  },
  {
    name = "avx2", arch = "x86_64", features = "avx2", flags = "-mavx2 -mfma -mf16c", rank = 1,
    vector_bytes = 32, registers = 16, codes8 = "signed", tables = { 1 }, unpack = { "shift" },
  },
  {
    name = "avx512", arch = "x86_64", features = "avx2 avx512 avx512vnni avx512vbmi gfni",
    flags = "-mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni "
      .. "-mavx512vbmi -mgfni",
    rank = 2, vector_bytes = 64, registers = 32, codes8 = "unsigned", tables = { 1, 4 },
    unpack = { "shift", "affine" },
  },
  {
    name = "neon", arch = "aarch64", features = "neon", flags = "-march=armv8-a", rank = 1,
    vector_bytes = 16, registers = 32, codes8 = "signed", tables = { 1 }, unpack = { "shift" },
  },
}

function isa.names()
  local names = {}
  for i, row in ipairs(rows) do names[i] = row.name end
  return names
end

function isa.get(name)
  for _, row in ipairs(rows) do
    if row.name == name then return row end
  end
  error(("isa '%s' is not known: one of %s"):format(name, table.concat(isa.names(), ", ")), 0)
end

-- Features as the C expression of kernel.h's mask.
function isa.needs(row)
  local bits = {}
  for feature in row.features:gmatch("%S+") do bits[#bits + 1] = "QN_" .. feature:upper() end
  return #bits > 0 and table.concat(bits, " | ") or "0"
end

return isa
