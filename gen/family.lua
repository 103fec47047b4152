-- family.lua: search spaces.
--
-- A family (templates/<name>.lua) declares ordered parameters, rules that say in a sentence why a
-- combination is illegal, a default and what its template needs.  This module turns that into
-- spaces of legal points with names, keys and neighbours.

local format = require("format")
local isa = require("isa")

local family = {}

local names = { "dot", "lut", "gemm" }
local acts = { "a8g32", "a8g256", "a8r" }

function family.check_config_act(act)
  if act ~= "own" then family.check_act(act) end
end

-- What an activation format of a config means for a format: "own" is the one that its weights are multiplied with
-- unless another is asked for (qn_format_own_act of runtime/format.h).
function family.act_of(fmt_name, act)
  if act ~= "own" then return act end
  return format.get(fmt_name).block == 256 and "a8g256" or "a8g32"
end

-- A parameter of every family, which changes no text: what compiles a kernel.  "default" is the compiler of the
-- build or the device.  Portable code is what is left when nothing else runs: not worth a choice.
local function compilers(row)
  return { name = "COMPILER", tile = "y", values = row.arch == "any" and { "default" } or { "default", "clang" },
    usual = "default" }
end

function family.names()
  return names
end

function family.acts()
  return acts
end

function family.get(name)
  for _, known in ipairs(names) do
    if known == name then return require(name) end
  end
  error(("family '%s' is not known: one of %s"):format(name, table.concat(names, ", ")), 0)
end

function family.check_act(act)
  for _, known in ipairs(acts) do
    if known == act then return end
  end
  error(("activation format '%s' is not known: one of %s"):format(act, table.concat(acts, ", ")), 0)
end

-- The parameters that this family has for a format and ISA, each {name, tile, values, ordered, usual}; values may
-- be a function of the two, nil where there is nothing to choose, and usual one of the format.  A value that is
-- the usual one is not spelled in keys and names, so that a parameter may come later than results that know
-- nothing of it.
local function parameters(fam, fmt, row)
  local list = {}
  for _, p in ipairs(fam.parameters) do
    local values, usual = p.values, p.usual
    if type(values) == "function" then values = values(fmt, row) end
    if type(usual) == "function" then usual = usual(fmt) end
    if values then
      list[#list + 1] = { name = p.name, tile = p.tile, values = values, ordered = p.ordered, usual = usual }
    end
  end
  list[#list + 1] = compilers(row)
  return list
end

local function refusal(fam, fmt, act)
  if act == "a8g256" and fmt.block ~= 256 then
    return ("scales of 256 activations want blocks of 256 weights, %s has %d"):format(fmt.name, fmt.block)
  end
  return fam.refuses and fam.refuses(fmt, act)
end

-- nil, or why a family has no kernel at all for a format and such activations.
function family.refuses(fam_name, fmt_name, act)
  return refusal(family.get(fam_name), format.get(fmt_name), act)
end

-- Whether kernels of a point round more than activations to int8.
function family.is_lossy(fam, point)
  return fam.is_lossy ~= nil and fam.is_lossy(point)
end

-- nil, or the first rule that a point breaks.
function family.why_illegal(fam, point, fmt, row, act)
  local refused = refusal(fam, fmt, act)
  if refused then return refused end
  for _, rule in ipairs(fam.rules) do
    local why = rule(point, fmt, row, act)
    if why then return why end
  end
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- "family=dot format=w4g32 act=a8g32 isa=avx512 KU=1 PF=0 RV=4"; without params all is spelled.
local function key_of(head, point, params)
  local words, usual = { head }, {}
  for _, p in ipairs(params or {}) do usual[p.name] = p.usual end
  for _, name in ipairs(sorted_keys(point)) do
    if point[name] ~= usual[name] then words[#words + 1] = name .. "=" .. point[name] end
  end
  return table.concat(words, " ")
end

-- "<family>_<format>_<act>_<isa>_<tile>", the tile of what there is a choice of
local function name_of(base, params, point)
  local tile = {}
  for _, p in ipairs(params) do
    local v = point[p.name]
    if #p.values > 1 and v ~= p.usual then tile[#tile + 1] = p.tile .. (type(v) == "string" and v:sub(1, 1) or v) end
  end
  return base .. "_" .. table.concat(tile)
end

-- A key as { family, format, act, isa, point, name, key }, checked against every rule.
function family.parse(key)
  local words, point = {}, {}
  for word in key:gmatch("%S+") do
    local name, v = word:match("^(%w+)=(%w+)$")
    if not name then error(("'%s' in a kernel's key is not name=value"):format(word), 0) end
    if name == name:upper() then
      point[name] = math.tointeger(tonumber(v)) or v
    else
      words[name] = v
    end
  end
  for _, name in ipairs { "family", "format", "act", "isa" } do
    if not words[name] then error(("a kernel needs '%s' (in '%s')"):format(name, key), 0) end
  end
  family.check_act(words.act)
  local fam, fmt, row = family.get(words.family), format.get(words.format), isa.get(words.isa)
  local params = parameters(fam, fmt, row)
  for _, p in ipairs(params) do
    if point[p.name] == nil then point[p.name] = p.usual end
    local v, found = point[p.name], false
    if v == nil then error(("%s kernels need the parameter %s (in '%s')"):format(fam.name, p.name, key), 0) end
    for _, legal in ipairs(p.values) do found = found or legal == v end
    if not found then
      error(("%s=%s is not legal for %s %s %s: one of %s"):format(p.name, v, fam.name, fmt.name,
        row.name, table.concat(p.values, ", ")), 0)
    end
  end
  if #sorted_keys(point) ~= #params then
    for name in pairs(point) do
      local known = false
      for _, p in ipairs(params) do known = known or p.name == name end
      if not known then error(("%s kernels have no parameter %s"):format(fam.name, name), 0) end
    end
  end
  local why = family.why_illegal(fam, point, fmt, row, words.act)
  if why then error(("illegal %s kernel: %s (%s)"):format(fam.name, why, key), 0) end
  local head = ("family=%s format=%s act=%s isa=%s"):format(fam.name, fmt.name, words.act, row.name)
  local base = table.concat({ fam.name, fmt.name, words.act, row.name }, "_")
  return {
    family = fam, format = fmt, act = words.act, isa = row, point = point, head = head,
    name = name_of(base, params, point), key = key_of(head, point, params), is_lossy = family.is_lossy(fam, point),
  }
end

-- A mapping as in a results file ({family=, format=, act=, isa=, RV=4, ...}) as a key.
function family.key(mapping)
  local point, head = {}, {}
  for name, v in pairs(mapping) do
    if math.type(v) ~= "integer" and type(v) ~= "string" then
      error(("'%s' of a point has to be a word or a whole number"):format(tostring(name)), 0)
    end
    if tostring(name):upper() == name then point[name] = v end
  end
  for _, name in ipairs { "family", "format", "act", "isa" } do
    if mapping[name] then head[#head + 1] = name .. "=" .. tostring(mapping[name]) end
  end
  return key_of(table.concat(head, " "), point)
end

-- How kernels of a point want weights packed: { rows (of a panel), pack, name }; kernels whose layouts have
-- one name read the same bytes (qn_same_layout of runtime/kernel.h).
function family.layout(fam, point, fmt, row)
  local vars = fam.vars(point, fmt, row)
  local name = ("%d-%s-v%d%s"):format(vars.panel_rows, vars.pack:gsub(" ", "-"), row.vector_bytes,
    vars.signed_codes == 1 and "-signed" or "")
  return { rows = vars.panel_rows, pack = vars.pack, name = name }
end

-- The kernel of a key for weights in panels of so many rows, packed so, as a key; nil where there is none.
function family.relayout(key, panel_rows, pack)
  local p = family.parse(key)
  if not p.family.relayout then return nil end
  local rv = panel_rows * 4 // p.isa.vector_bytes
  local other = p.family.relayout(p.point, rv, pack)
  if not other then return nil end
  local legal, parsed = pcall(family.parse, key_of(p.head, other))
  return legal and parsed.key or nil
end

-- Likewise, packed as for the kernel of another key of the same ISA; the key itself where it is so already.
function family.relayout_like(key, like)
  local p, q = family.parse(key), family.parse(like)
  local layout = family.layout(q.family, q.point, q.format, q.isa)
  if p.isa ~= q.isa or p.format ~= q.format then return nil end
  if family.layout(p.family, p.point, p.format, p.isa).name == layout.name then return p.key end
  return family.relayout(key, layout.rows, layout.pack)
end

-- The point a family takes when nothing was measured, as a key.
function family.default(fam_name, fmt_name, act, isa_name)
  local fam, fmt, row = family.get(fam_name), format.get(fmt_name), isa.get(isa_name)
  local point = fam.default(fmt, row)
  local head = ("family=%s format=%s act=%s isa=%s"):format(fam.name, fmt.name, act, row.name)
  return family.parse(key_of(head, point)).key
end

-- Name, key, whether it is lossy, what compiles it, the tokens of a pass and the name of its layout.
local function describe(fam, fmt, row, point, name, key)
  return name, key, family.is_lossy(fam, point), point.COMPILER, point.NT or 1,
    family.layout(fam, point, fmt, row).name
end

-- A key of which only family, format, act and isa have to be there, the rest as in the default; returns what
-- space:point does.
function family.complete(key)
  local words, given = {}, {}
  for word in key:gmatch("%S+") do
    local name, v = word:match("^(%w+)=(%w+)$")
    if not name then error(("'%s' in a kernel's key is not name=value"):format(word), 0) end
    words[name], given[#given + 1] = v, word
  end
  for _, name in ipairs { "family", "format", "act", "isa" } do
    if not words[name] then error(("a kernel needs '%s' (in '%s')"):format(name, key), 0) end
  end
  local refused = family.refuses(words.family, words.format, words.act)
  if refused then error(("no %s kernel of %s: %s"):format(words.family, words.format, refused), 0) end
  for word in family.default(words.family, words.format, words.act, words.isa):gmatch("%S+") do
    if not words[word:match("^%w+")] then given[#given + 1] = word end
  end
  local p = family.parse(table.concat(given, " "))
  return describe(p.family, p.format, p.isa, p.point, p.name, p.key)
end

-- ---- spaces ----

local space = {}
space.__index = space

-- Every legal point that suits n tokens, in the order of the parameters: the first varies slowest.  Lossy ones
-- only when asked for.  With clang the points follow once more, compiled with that, but for the few whose names
-- would become too long to read.
function family.space(fam_name, fmt_name, act, isa_name, n_tokens, with_lossy, with_clang)
  local fam, fmt, row = family.get(fam_name), format.get(fmt_name), isa.get(isa_name)
  family.check_act(act)
  local self = setmetatable({
    family = fam, format = fmt, isa = row, params = parameters(fam, fmt, row), points = {}, index = {},
    head = ("family=%s format=%s act=%s isa=%s"):format(fam.name, fmt.name, act, row.name),
    base = table.concat({ fam.name, fmt.name, act, row.name }, "_"),
  }, space)
  local point = { COMPILER = "default" }
  local function add(of, compiler)
    local copy = {}
    for name, v in pairs(of) do copy[name] = v end
    copy.COMPILER = compiler
    self.points[#self.points + 1] = copy
    self.index[key_of(self.head, copy, self.params)] = #self.points
  end
  local function extend(depth)
    local p = depth < #self.params and self.params[depth]   -- the last one is COMPILER
    if p then
      for _, v in ipairs(p.values) do
        point[p.name] = v
        extend(depth + 1)
      end
    elseif (with_lossy or not family.is_lossy(fam, point)) and fam.suits(point, n_tokens)
      and not family.why_illegal(fam, point, fmt, row, act) then
      add(point, "default")
    end
  end
  extend(1)
  self.n_default = #self.points
  if with_clang and #compilers(row).values > 1 then
    for i = 1, self.n_default do
      if #name_of(self.base, self.params, self.points[i]) + 2 <= 48 then add(self.points[i], "clang") end
    end
  end
  return self
end

-- How many points there are, and how many of them, the first ones, are compiled as everything is.
function space:count()
  return #self.points, self.n_default
end

-- All points as a text, for whoever looks at many.  First the parameters, those with ordered values with a "+":
-- "RV+ UNPACK COMPILER"; then for each point whether it is exact or lossy and its values, the usual ones, too:
-- "exact 4 shift default".
function space:table()
  local lines, words = {}, {}
  for _, p in ipairs(self.params) do words[#words + 1] = p.name .. (p.ordered and "+" or "") end
  lines[1] = table.concat(words, " ")
  for _, point in ipairs(self.points) do
    words = { family.is_lossy(self.family, point) and "lossy" or "exact" }
    for _, p in ipairs(self.params) do words[#words + 1] = tostring(point[p.name]) end
    lines[#lines + 1] = table.concat(words, " ")
  end
  return table.concat(lines, "\n") .. "\n"
end

-- What describe tells of a point.
function space:point(i)
  local point = self.points[i]
  if not point then error(("point %d of %d does not exist"):format(i, #self.points), 0) end
  return describe(self.family, self.format, self.isa, point, name_of(self.base, self.params, point),
    key_of(self.head, point, self.params))
end

-- Index of a key (parameters in any order), or nil and the reason.
function space:find(key)
  local ok, parsed = pcall(family.parse, key)
  if not ok then return nil, tostring(parsed) end
  local i = self.index[parsed.key]
  if not i then return nil, ("'%s' is not a point of %s"):format(parsed.key, self.base) end
  return i
end

return family
