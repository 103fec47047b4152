-- dot: integer dot products, few tokens.
--
-- A panel of RV vectors of rows streams past the activations of NT tokens.  Codes stay packed in
-- memory, 4 consecutive k of one row side by side; every field of a byte is taken out and
-- multiplied with 4 broadcast activations.

local panel = require("panel")

local dot = {
  name = "dot",
  template = "dot.c.tmpl",
  doc = "integer dot products of unpacked codes",
  parameters = {
    { name = "RV", tile = "r", values = { 1, 2, 3, 4, 6, 8, 12 }, ordered = true },
    { name = "KU", tile = "k", values = { 1, 2, 4 }, ordered = true },
    { name = "PF", tile = "p", values = { 0, 1024, 2048, 4096, 8192 }, ordered = true },
    { name = "NT", tile = "n", values = { 1, 2, 4 }, ordered = true },
    { name = "UNPACK", tile = "u", values = function(_, isa) return isa.unpack end },
  },
}

dot.rules = {
  panel.even_rows(function(p) return p.RV end),
  function(p, format, isa)
    -- sums over the token and, with groups wider than 32, over the group; fields, masks, broadcasts
    local live = p.RV * p.NT * (format.group > 32 and 2 or 1) + p.NT + 4
    if live > isa.registers + (p.NT > 1 and 4 or 0) then
      return ("RV=%d keeps %d vectors alive, %s has %d registers"):format(p.RV, live, isa.name,
        isa.registers)
    end
  end,
  panel.whole_groups,
  panel.needed_unpack,
}

function dot.default(format, isa)
  local wide = isa.registers == 32
  return {
    RV = wide and 4 or 2, KU = format.group == 32 and 1 or (wide and 2 or 1),
    PF = isa.name == "scalar" and 0 or 4096, NT = 1, UNPACK = "shift",
  }
end

-- Whether a point is worth trying for n tokens.
function dot.suits(point, n)
  return point.NT <= n
end

dot.relayout = panel.relayout

-- The template's view of a point.
function dot.vars(point, format, isa)
  local signed = format.bits == 8 and isa.codes8 == "signed"
  return {
    adjacent = 4, signed_codes = signed and 1 or 0, order = "QN_CODES",
    panel_rows = point.RV * isa.vector_bytes // 4,
    prepared_bytes = 0, scratch_bytes = 0, prepare = "NULL",
    sub = signed and 0 or format.sub, signed = signed, vector_rows = isa.vector_bytes // 4,
  }
end

return dot
