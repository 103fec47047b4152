-- isa.lua: one row per instruction set.
--
-- A new one is a row here and a templates/vec_<name>.h.

local isa = {}

--   replaces      an ISA of the same width that has nothing more: no use where this one runs
--   vector_bytes  width of a vector
--   registers     vector registers, for the legality of tiles
--   pairs         products of bytes that a 16-bit lane takes at a time while they are summed; 0: sums are
--                 32 bits wide
--   codes8        how codes above 127 are multiplied: "signed" as code - 128, or "unsigned" against
--                 a start of -128 times the sum of the activations
--   tables        fields of one row side by side that a lookup can serve: 1 looks up 16-entry tables
--                 per 16-byte lane, 2 a 32-byte table that holds two groups, 4 a 64-byte one with four
--   unpack        ways to take a field out of a byte
--   lanes         activations of products, 4 each, that one vector has side by side, for products that choose
--                 one of them: vn_dot_lane and vw_load_anew are words of such an ISA
--   mmla          products of 2 rows of 8 codes with 2 tokens' activations: vn_mmla, vb_zip and others
--   pairs16       products of pairs of 16-bit numbers, added to 32-bit lanes: vw_dot_pairs, vh_pairs and others
--   split         words that take sums apart into bytes, which are multiplied again: vh_low, vb_evens and others
local avx2 = "-mavx2 -mfma -mf16c"
local avx512 = avx2 .. " -mavx512f -mavx512bw -mavx512dq -mavx512vl"
-- SVE with vectors of so many bits: packed panels want them fixed.
local function sve(bits, rank)
  return {
    name = "sve" .. bits, arch = "aarch64", features = "neon dotprod i8mm sve sve" .. bits, replaces = "",
    flags = "-march=armv8.2-a+sve+dotprod+i8mm -msve-vector-bits=" .. bits, rank = rank, vector_bytes = bits // 8,
    registers = 32, pairs = 0, codes8 = "unsigned", tables = { 1 }, unpack = { "shift" }, lanes = 4, mmla = true,
  }
end

local rows = {
  {
    name = "scalar", arch = "any", features = "", replaces = "", flags = "-Os", rank = 0, vector_bytes = 16,
    registers = 16, pairs = 0, codes8 = "signed", tables = { 1 }, unpack = { "shift" },
  },
  {
    name = "avx2", arch = "x86_64", features = "avx2", replaces = "", flags = avx2, rank = 1,
    vector_bytes = 32, registers = 16, pairs = 2, pairs16 = true, codes8 = "signed", tables = { 1 }, unpack = { "shift" },
  },
  {
    name = "avxvnni", arch = "x86_64", features = "avx2 avxvnni", replaces = "avx2", flags = avx2 .. " -mavxvnni", rank = 2,
    vector_bytes = 32, registers = 16, pairs = 0, pairs16 = true, codes8 = "unsigned", tables = { 1 }, unpack = { "shift" },
  },
  {
    name = "avx512bw", arch = "x86_64", features = "avx2 avx512", replaces = "", flags = avx512, rank = 3,
    vector_bytes = 64, registers = 32, pairs = 2, pairs16 = true, codes8 = "signed", tables = { 1 }, unpack = { "shift" },
  },
  {
    name = "avx512", arch = "x86_64", features = "avx2 avx512 avx512vnni avx512vbmi gfni", replaces = "avx512bw",
    flags = avx512 .. " -mavx512vnni -mavx512vbmi -mgfni", rank = 4, vector_bytes = 64, registers = 32,
    pairs = 0, pairs16 = true, codes8 = "unsigned", tables = { 1, 4 }, unpack = { "shift", "affine" },
  },
  {
    name = "neon", arch = "aarch64", features = "neon", replaces = "", flags = "-march=armv8-a", rank = 1,
    vector_bytes = 16, registers = 32, pairs = 1, codes8 = "signed", tables = { 1, 2 }, unpack = { "shift" },
  },
  {
    name = "dotprod", arch = "aarch64", features = "neon dotprod", replaces = "neon", flags = "-march=armv8.2-a+dotprod",
    rank = 2, vector_bytes = 16, registers = 32, pairs = 0, codes8 = "signed", tables = { 1, 2 }, unpack = { "shift" },
    lanes = 4, split = true,
  },
  {
    name = "i8mm", arch = "aarch64", features = "neon dotprod i8mm", replaces = "dotprod",
    flags = "-march=armv8.2-a+dotprod+i8mm", rank = 4, vector_bytes = 16, registers = 32, pairs = 0, codes8 = "signed",
    tables = { 1, 2 }, unpack = { "shift" }, lanes = 4, mmla = true, split = true,
  },
  sve(128, 3), sve(256, 5), sve(512, 6),
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

-- Products of four codes up to `top` and |x| <= act_top that fit a lane before it has to be widened: a lane
-- takes `pairs` of them at a time.  Nil: any number; 0: not one.
function isa.depth(row, top, act_top)
  if row.pairs == 0 then return nil end
  return 32767 // (row.pairs * top * act_top)
end

-- Features as the C expression of kernel.h's mask.
function isa.needs(row)
  local bits = {}
  for feature in row.features:gmatch("%S+") do bits[#bits + 1] = "QN_" .. feature:upper() end
  return #bits > 0 and table.concat(bits, " | ") or "0"
end

return isa
