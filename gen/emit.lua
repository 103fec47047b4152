-- emit.lua: points -> C text.

local family = require("family")
local isa = require("isa")
local template = require("template")

local emit = {}

local function merge(...)
  local all = {}
  for _, t in ipairs { ... } do
    for key, v in pairs(t) do all[key] = v end
  end
  return all
end

-- One kernel as C text.  Its static functions begin with prefix; the default, the kernel's own name,
-- lets several texts share a translation unit.
function emit.kernel(key, prefix)
  local p = family.parse(key)
  local f, words = p.format, {}
  for word in p.key:gmatch("%u+=%w+") do words[#words + 1] = word end
  local vars = merge(p.format, p.point, p.family.vars(p.point, p.format, p.isa, p.act), {
    name = p.name, prefix = prefix or p.name, family = p.family.name, format = p.format.name, act = p.act, isa = p.isa.name,
    point = table.concat(words, " "), key = p.key, doc = p.family.doc, needs = isa.needs(p.isa),
    -- gcc 12 -O2 calls the steps of two-level formats and of wide tiles where it should not: 10 % slower.
    inline = (f.super > 0 or p.isa.lanes or p.point.ADJ == 2) and "static inline __attribute__((always_inline))" or "static inline",
    scale_bits = ("%.3g"):format(8 * f.head_bytes / f.block),
    VB = p.isa.vector_bytes, VL = p.isa.vector_bytes // 4,
  })
  return template.render("head.c.tmpl", vars) .. template.render(p.family.template, vars)
end

-- What an ISA brings besides kernels, as a C file.
function emit.isa(name)
  local row = isa.get(name)
  return template.render("isa.c.tmpl", {
    isa = row.name, registers = row.registers, tables = row.tables, needs = isa.needs(row), rank = row.rank,
    VB = row.vector_bytes, VL = row.vector_bytes // 4, lanes = row.lanes or false, mmla = row.mmla or false,
    split = row.split or false,
  })
end

-- What a model needs in floats on an ISA, as a C file.
function emit.floats(name)
  local row = isa.get(name)
  return template.render("floats.c.tmpl", { isa = row.name, registers = row.registers, VL = row.vector_bytes // 4 })
end

-- kernels.c over parsed points (family.parse) and choices {format id, m, k, n, threads, kernel index from 0};
-- has_floats: emit.floats of each ISA is linked, too.
function emit.registry_of(points, choices, origin, has_floats)
  local isas, seen = {}, {}
  for _, p in ipairs(points) do
    if not seen[p.isa.name] then
      seen[p.isa.name] = true
      isas[#isas + 1] = p.isa.name
    end
  end
  table.sort(isas)
  return template.render("registry.c.tmpl", {
    isas = isas, points = points, choices = choices, origin = origin, has_floats = has_floats or false,
  })
end

-- kernels.c over keys, without choices.
function emit.registry(keys)
  local points = {}
  for i, key in ipairs(keys) do points[i] = family.parse(key) end
  return emit.registry_of(points, {}, "candidates")
end

return emit
