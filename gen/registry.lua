-- registry.lua: results and configs -> the C files of a runtime.
--
-- A results file names winners: entries with a shape, or with `default: true` for what an ISA
-- takes when nothing nearer was measured.  A config file stands for the defaults of its formats,
-- families and ISAs, or with `sample: N` for N points out of their spaces, for tests.  Of two entries for
-- one case the later file's wins, but never one that was estimated over one that was measured.

local emit = require("emit")
local family = require("family")
local format = require("format")
local isa = require("isa")
local yaml = require("yaml")

local registry = {}

-- Calls f and puts the place in front of what it raises.
local function at(where, f, ...)
  local ok, result = pcall(f, ...)
  if not ok then error(where .. ": " .. tostring(result), 0) end
  return result
end

local function integer(entry, name)
  local v = entry[name]
  if math.type(v) ~= "integer" or v < 1 or v > 0x7fffffff then
    error(("%s: '%s' has to be a whole number from 1 to 2147483647"):format(yaml.where(entry, name), name), 0)
  end
  return v
end

-- What a point's ISA takes for n tokens when nothing nearer was measured.
local function default_case(point, n)
  return { m = 0, k = 0, n = n, threads = 0, nmse = 0, core = 0, point = point }
end

-- The error that a lossy winner was measured to have.
local function read_nmse(entry)
  local nmse = entry.nmse
  if entry.default == true then
    error(yaml.where(entry) .. ": a default has to be exact, this point is lossy", 0)
  elseif type(nmse) ~= "number" or nmse <= 0 or nmse >= 1 then
    error(("%s: the entry of a lossy point needs its 'nmse', between 0 and 1"):format(yaml.where(entry)), 0)
  end
  return nmse
end

-- The point that a library has for an entry: its own, or that of the finalist which is shipped in its place.
local function shipped_point(entry)
  if not entry.shipped then return entry.point, entry.kernel, 1 end
  for _, one in ipairs(type(entry.finalists) == "table" and entry.finalists or {}) do
    if type(one) == "table" and one.kernel == entry.shipped and type(one.point) == "table" then
      return one.point, one.kernel, type(one.ratio) == "number" and one.ratio or 1
    end
  end
  error(("%s: shipped '%s' is none of the entry's finalists"):format(yaml.where(entry, "shipped"),
    tostring(entry.shipped)), 0)
end

-- Adds the entries of a results file to cases: case key -> {m, k, n, threads, nmse (0: exact), us, point}.
local function read_results(doc, cases)
  if type(doc.entries) ~= "table" then
    error(yaml.where(doc) .. ": a results file needs a list 'entries'", 0)
  end
  for _, entry in ipairs(doc.entries) do
    if type(entry) ~= "table" or type(entry.point) ~= "table" then
      error(yaml.where(type(entry) == "table" and entry or doc.entries)
        .. ": an entry needs a mapping 'point'", 0)
    end
    local mapping, name, ratio = shipped_point(entry)
    local point = at(yaml.where(entry, "point"), function() return family.parse(family.key(mapping)) end)
    if entry.format ~= point.format.name then
      error(("%s: format '%s' differs from its point's '%s'"):format(yaml.where(entry),
        tostring(entry.format), point.format.name), 0)
    end
    if name and name ~= point.name then
      error(("%s: kernel '%s' is not what its point makes, '%s'"):format(yaml.where(entry, "kernel"),
        tostring(name), point.name), 0)
    end
    local case = default_case(point, 1)
    if entry.default ~= true then
      case.m, case.k = integer(entry, "m"), integer(entry, "k")
      case.n, case.threads = integer(entry, "n"), integer(entry, "threads")
    elseif entry.n then
      case.n = integer(entry, "n")
    end
    if entry.core and entry.default ~= true then case.core = integer(entry, "core") end
    if point.is_lossy then case.nmse = read_nmse(entry) end
    case.us = type(entry.median_us) == "number" and entry.median_us * ratio or nil
    -- A measured case belongs to the ISA and the kind of core that won it; each ISA has defaults of its own.
    local key = ("%s %s %d %d %d %d %s %x"):format(point.format.name, point.act, case.m, case.k, case.n,
      case.threads, point.isa.name, case.core)
    if point.is_lossy then key = "lossy " .. key end
    -- A measurement counts for more than an estimate, whichever is read first.
    case.estimated = entry.estimated ~= nil
    if not (case.estimated and cases[key] and not cases[key].estimated) then cases[key] = case end
  end
end

local function each_name(doc, key, known, get)
  local list = doc[key]
  if list == nil or list == "native" then return known end
  if type(list) ~= "table" then
    error(("%s: '%s' has to be a list"):format(yaml.where(doc, key), key), 0)
  end
  for _, name in ipairs(list) do at(yaml.where(doc, key), get, name) end
  return list
end

local function layout_of(point)
  return family.layout(point.family, point.point, point.format, point.isa)
end

-- Leaves out lossy winners that are not faster than the exact one of their case.
local function drop_slow_lossy(cases)
  for key, case in pairs(cases) do
    local exact = cases[key:match("^lossy (.*)")]
    if exact and exact.us and case.us and case.us >= exact.us then cases[key] = nil end
  end
end

-- "format activations ISA"
local function place(case)
  return case.point.format.name .. " " .. case.point.act .. " " .. case.point.isa.name
end

-- "M K threads core lossy"
local function shape(case)
  return ("%d %d %d %x %s"):format(case.m, case.k, case.threads, case.core, case.nmse > 0)
end

-- Leaves out winners for one token in whose layout there is no kernel for many, where other layouts have some: a
-- prompt would cost more than a token gains.
local function drop_dead_ends(cases)
  local many = {}        -- place -> defaults for n > 1
  for _, case in pairs(cases) do
    if case.m == 0 and case.n > 1 then
      many[place(case)] = many[place(case)] or {}
      table.insert(many[place(case)], case)
    end
  end
  for key, case in pairs(cases) do
    if case.m and case.m > 0 and case.n == 1 and many[place(case)] then
      local layout, served = layout_of(case.point), false
      for _, default in ipairs(many[place(case)]) do
        served = served or family.relayout(default.point.key, layout.rows, layout.pack) ~= nil
      end
      if not served then cases[key] = nil end
    end
  end
end

-- Numbers of tokens for which a matrix has a kernel each (qn_matrix_class_tokens).
local classes = { 1, 2, 4, 8, 16, 32, 128, 512 }

-- What was measured for one number of tokens counts for another (similar_tokens of runtime/choose.c).
local function is_similar(a, b)
  return (a == 1) == (b == 1) and a <= 4 * b and b <= 4 * a
end

-- Of the defaults of a place, those that some number of tokens takes where only the cases in `measured` come first.
local function needed(defaults, measured)
  local wanted = {}
  local function is_measured(n)
    for _, case in ipairs(measured) do
      if is_similar(case.n, n) then return true end
    end
  end
  for _, n in ipairs(classes) do
    if not is_measured(n) then
      local least = math.huge
      local function far(case) return math.abs(math.log(case.n / n)) end
      for _, case in ipairs(defaults) do least = math.min(least, far(case)) end
      for _, case in ipairs(defaults) do
        if far(case) == least then wanted[case] = true end
      end
    end
  end
  return wanted
end

-- A case whose kernel reads panels of a layout: itself where it does, a relaid copy, or nil.
local function relaid(case, layout)
  if layout_of(case.point).name == layout.name then return case end
  local key = family.relayout(case.point.key, layout.rows, layout.pack)
  if not key then return nil end
  local other = {}
  for name, v in pairs(case) do other[name] = v end
  other.point = family.parse(key)
  return other
end

-- Takes the cases of each place that something chooses apart:
-- place -> { measured (by key), defaults, singles (shape -> layout of its winner for one token), layouts (of those) }.
local function take_places(cases)
  local places = {}
  for key, case in pairs(cases) do
    local p = places[place(case)] or { measured = {}, defaults = {}, singles = {}, layouts = {} }
    if case.m == 0 then
      table.insert(p.defaults, case)
    elseif case.m then
      p.measured[key] = case
    end
    if case.m then
      places[place(case)] = p
      cases[key] = nil
    end
  end
  for _, p in pairs(places) do
    for _, case in pairs(p.measured) do
      if case.n == 1 then
        local layout = layout_of(case.point)
        p.singles[shape(case)], p.layouts[layout.name] = layout, layout
      end
    end
    if next(p.layouts) == nil then       -- a default is all there is for one token
      for _, case in ipairs(p.defaults) do
        local layout = case.n == 1 and layout_of(case.point)
        if layout then p.layouts[layout.name] = layout end
      end
    end
  end
  return places
end

-- Weights are packed once, for one token or a few; the kernels for more tokens have to read the same
-- panels.  The tuner has chosen a layout for all numbers of tokens where their finals had one in common; else
-- what was measured for more tokens takes the layout of its shape's winner for one token.  Of the
-- defaults those stay that some number of tokens needs, in the layouts that the kernels for one token have.
local function add_layouts(cases)
  for name, p in pairs(take_places(cases)) do
    local exact = {}     -- layout name -> measured cases
    local function keep(case) cases[("%s %d default %s"):format(name, case.n, case.point.key)] = case end
    for key, case in pairs(p.measured) do
      local single = p.singles[shape(case)]
      case = single and relaid(case, single) or case
      cases[key] = case
      if case.nmse == 0 then
        local layout = layout_of(case.point).name
        exact[layout] = exact[layout] or {}
        table.insert(exact[layout], case)
      end
    end
    for _, layout in pairs(p.layouts) do
      local defaults = {}
      for _, case in ipairs(p.defaults) do
        if case.n > 1 or layout_of(case.point).name == layout.name then
          defaults[#defaults + 1] = relaid(case, layout)
        end
      end
      for case in pairs(needed(defaults, exact[layout.name] or {})) do keep(case) end
    end
    if next(p.layouts) == nil then       -- nothing reads one token
      for _, case in ipairs(p.defaults) do keep(case) end
    end
  end
end

-- Plain C for every format and activation format, so that the ladder has an end on any CPU.
local function add_fallbacks(cases)
  local has = {}         -- "format act" -> is there a scalar kernel?
  for _, case in pairs(cases) do
    local name = case.point.format.name .. " " .. case.point.act
    has[name] = has[name] or case.point.isa.name == "scalar"
  end
  for name, scalar in pairs(has) do
    if not scalar then
      cases["fallback " .. name] =
        default_case(family.parse(family.default("dot", name:match("%S+"), name:match("%S+$"), "scalar")), 1)
    end
  end
end

-- n points out of some spaces, spread without a pattern, as cases that nothing chooses.
local function add_sample(cases, spaces, n)
  for i = 1, n do
    local fam, fmt, act, row = table.unpack(spaces[i * 7919 % #spaces + 1])
    local space = family.space(fam, fmt, act, row, 512, true)
    if space:count() > 0 then
      local _, key = space:point(i * 40503 % space:count() + 1)
      cases["sample " .. key] = { point = family.parse(key) }
    end
  end
end

-- Adds the default points of a config to cases, or a sample of all spaces when it asks for one.
local function read_config(doc, cases)
  local spaces = {}
  for _, fmt in ipairs(each_name(doc, "formats", format.names(), format.get)) do
    for _, row in ipairs(each_name(doc, "isas", isa.names(), isa.get)) do
      for _, act in ipairs(each_name(doc, "acts", family.acts(), family.check_config_act)) do
        for _, fam in ipairs(each_name(doc, "families", family.names(), family.get)) do
          local own = family.act_of(fmt, act)
          if not family.refuses(fam, fmt, own) then spaces[#spaces + 1] = { fam, fmt, own, row } end
        end
      end
    end
  end
  if doc.sample then
    add_sample(cases, spaces, integer(doc, "sample"))
    return
  end
  for _, space in ipairs(spaces) do
    local fam, fmt, act, row = table.unpack(space)
    local key = family.default(fam, fmt, act, row)
    cases[("%s default %s %s %s"):format(fmt, act, row, fam)] =
      default_case(family.parse(key), fam == "gemm" and 256 or 1)
  end
end

local readers = { results = read_results, config = read_config }

-- docs -> { {name=, text=}, ... }; arch keeps only the ISAs of one architecture.
function registry.files(docs, arch)
  local cases, origins = {}, {}
  for _, doc in ipairs(docs) do
    local read = type(doc) == "table" and readers[doc.quern]
    if not read then
      error((type(doc) == "table" and yaml.where(doc) or "document")
        .. ": needs 'quern: results' or 'quern: config'", 0)
    end
    if doc.schema ~= 1 then
      error(yaml.where(doc) .. ": schema " .. tostring(doc.schema) .. " is not known, only 1", 0)
    end
    read(doc, cases)
    origins[#origins + 1] = yaml.where(doc):match("([^/]*):%d+$") or "?"
  end

  drop_slow_lossy(cases)
  drop_dead_ends(cases)
  add_layouts(cases)
  add_fallbacks(cases)
  local points, by_name, list = {}, {}, {}
  for _, case in pairs(cases) do
    local row = case.point.isa
    if not arch or row.arch == "any" or row.arch == arch then
      list[#list + 1] = case
      if not by_name[case.point.name] then
        by_name[case.point.name] = true
        points[#points + 1] = case.point
      end
    end
  end
  if #points == 0 then error(table.concat(origins, " + ") .. ": no kernel to generate", 0) end
  table.sort(points, function(a, b) return a.name < b.name end)
  local index = {}
  for i, p in ipairs(points) do index[p.name] = i - 1 end
  local choices = {}
  for _, case in ipairs(list) do
    if case.m then
      choices[#choices + 1] = { format = case.point.format.id, rank = case.point.format.rank, act = case.point.act,
        m = case.m, k = case.k, n = case.n, threads = case.threads, kernel = index[case.point.name],
        nmse = case.nmse > 0 and ("%.3g"):format(case.nmse) or "0",
        core = case.core, core_text = case.core > 0 and ("0x%x"):format(case.core) or "0" }
    end
  end
  table.sort(choices, function(a, b)
    for _, key in ipairs { "rank", "act", "m", "k", "n", "threads", "core" } do
      if a[key] ~= b[key] then return a[key] < b[key] end
    end
    return a.kernel < b.kernel
  end)

  local files, isas, flags = {}, {}, {}
  for _, p in ipairs(points) do
    local name = "kernel_" .. p.name .. ".c"
    files[#files + 1] = { name = name, text = emit.kernel(p.key, p.family.name) }
    flags[#flags + 1] = { name = name, flags = p.isa.flags, compiler = p.point.COMPILER }
    isas[p.isa.name] = p.isa
  end
  for _, name in ipairs(isa.names()) do
    if isas[name] then
      for _, what in ipairs { "isa", "floats" } do
        local file = what .. "_" .. name .. ".c"
        files[#files + 1] = { name = file, text = emit[what](name) }
        flags[#flags + 1] = { name = file, flags = isas[name].flags }
      end
    end
  end
  files[#files + 1] =
    { name = "kernels.c", text = emit.registry_of(points, choices, table.concat(origins, " + "), true) }

  local mk = { "# Generated by quern gen from " .. table.concat(origins, " + ") .. ".", "KERNEL_C = \\" }
  for _, f in ipairs(files) do mk[#mk + 1] = "\t" .. f.name .. " \\" end
  mk[#mk + 1] = ""
  for _, f in ipairs(flags) do
    local name = f.name:sub(1, -3)
    mk[#mk + 1] = ("KERNEL_FLAGS_%s = %s"):format(name, f.flags)
    if f.compiler == "clang" then mk[#mk + 1] = ("KERNEL_CC_%s = $(CLANG)"):format(name) end
  end
  files[#files + 1] = { name = "kernels.mk", text = table.concat(mk, "\n") .. "\n" }
  return files
end

return registry
