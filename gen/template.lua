-- template.lua: template text -> C text.
--
-- A line that starts with % is Lua and emits nothing; any other line is C in which ${expr} is
-- replaced.  Every template line becomes one line of a Lua chunk named after the file, so an error
-- in either language names the template's own line.

local template = {}

local cache = {}

-- One text line as Lua: emit("literal", (expr), "literal\n").
local function compile_line(line, where)
  local pieces, at = {}, 1
  while true do
    local open = line:find("${", at, true)
    if not open then break end
    local close = line:find("}", open, true)
    if not close then error(where .. ": '${' without '}'", 0) end
    if open > at then pieces[#pieces + 1] = ("%q"):format(line:sub(at, open - 1)) end
    pieces[#pieces + 1] = "value(" .. line:sub(open + 2, close - 1) .. ")"
    at = close + 1
  end
  pieces[#pieces + 1] = ("%q"):format(line:sub(at)) .. ' .. "\\n"'
  return "emit(" .. table.concat(pieces, ", ") .. ")"
end

local function load_template(name)
  if cache[name] then return cache[name] end
  local path = "templates/" .. name
  local file = io.open(QUERN_HOME .. "/" .. path, "rb")
  if not file then error(path .. ": no such template below " .. QUERN_HOME, 0) end
  local code, number = {}, 0
  for line in file:lines() do
    number = number + 1
    if line:sub(1, 1) == "%" then
      code[number] = line:sub(2)
    else
      code[number] = compile_line(line, path .. ":" .. number)
    end
  end
  file:close()
  cache[name] = { path = path, code = table.concat(code, "\n") }
  return cache[name]
end

-- What a ${} may hold: strings and integers.
local function value(v)
  if math.type(v) == "float" then
    error("${} is the float " .. v .. "; integers and strings only", 2)
  elseif type(v) ~= "string" and type(v) ~= "number" then
    error("${} is " .. type(v), 2)
  end
  return v
end

-- Renders a template.  Names are looked up in vars, then in Lua's pure standard functions; an
-- undefined name is an error.  Inside, include(name, more) renders another template in place.
function template.render(name, vars)
  local out = {}
  local function render(name, vars)
    local tmpl = load_template(name)
    local env = {
      value = value, ipairs = ipairs, pairs = pairs, math = math, string = string, table = table,
      tostring = tostring, error = error,
    }
    function env.emit(...)
      out[#out + 1] = table.concat({ ... })
    end
    function env.include(other, more)
      render(other, setmetatable(more or {}, { __index = vars }))
    end
    setmetatable(env, {
      __index = function(_, key)
        local v = vars[key]
        if v == nil then error("undefined name '" .. key .. "'", 2) end
        return v
      end,
    })
    local chunk, message = load(tmpl.code, "@" .. tmpl.path, "t", env)
    if not chunk then error(message, 0) end
    chunk()
  end
  render(name, vars)
  return table.concat(out)
end

return template
