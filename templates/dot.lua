-- dot: integer dot products, few tokens.
--
-- A panel of RV vectors of rows streams past the activations of NT tokens.  Codes stay packed in
-- memory, 4 consecutive k of one row side by side; every field of a byte is taken out and
-- multiplied with 4 broadcast activations, RG vectors of rows at a time.
--
-- Where products choose their activations from a vector (isa.lanes) vector instructions are what is short, and three
-- things save some: fields of 2 bits are only masked, in place, and their sums shifted (exps); sums start from memory;
-- and they start so that they are floats already (V_FLOAT_START).  With one scale a token sums go on over a weight's group.
--
-- With PACK=rows a byte has the codes of four rows (dot_rows.c.tmpl): a vector of them serves four products without
-- shifts and masks for each.  Sums over 16 k are narrowed to 16 bits or split into bytes, which sub-scales multiply eight or
-- sixteen at a time.  KU then counts 64 k.
--
-- With PACK=fours a byte has the codes of four groups (dot_fours.c.tmpl), which are only masked; sums over 16 k are shifted
-- to where pairs of 16 bits want them.  KU counts 64 k there, too.

local panel = require("panel")

local dot = {
  name = "dot",
  template = "dot.c.tmpl",
  doc = "integer dot products of unpacked codes",
  parameters = {
    { name = "RV", tile = "r", values = { 1, 2, 3, 4, 6, 8, 12 }, ordered = true },
    { name = "RG", tile = "g", values = { 1, 2, 4 }, ordered = true },
    { name = "KU", tile = "k", values = { 1, 2, 4 }, ordered = true },
    { name = "PF", tile = "p", values = { 0, 1024, 2048, 4096, 8192, 16384 }, ordered = true },
    { name = "NT", tile = "n", values = { 1, 2, 3, 4, 6, 8 }, ordered = true },
    { name = "UNPACK", tile = "u", values = function(_, isa) return isa.unpack end },
    { name = "XB", tile = "x", values = panel.act_bits, usual = 8 },
    { name = "PACK", tile = "c", values = panel.packs, usual = panel.usual_pack },
  },
}

dot.rules = {
  panel.even_rows(function(p) return p.RV end),
  function(p)
    if p.RV % p.RG ~= 0 then return ("RG=%d does not divide RV=%d"):format(p.RG, p.RV) end
  end,
  function(p, format, isa)
    -- sums of RG vectors of rows, their codes, a broadcast, a mask
    local live = p.RG * (p.NT * format.halves + 1) + 2 + (p.PACK == "trits" and 9 * p.RG + p.RG * p.NT or 0)
    if live > isa.registers then
      return ("RG=%d NT=%d keeps %d vectors alive, %s has %d registers"):format(p.RG, p.NT, live, isa.name,
        isa.registers)
    end
  end,
  panel.near_floats(function(p) return p.RV end),
  function(p)
    if p.PACK == "trits" and p.KU > 1 then return "KU has no meaning with PACK=trits" end
  end,
  panel.four_vectors,
  panel.act_blocks,
  function(p)
    if p.PACK == "rows" and (p.RG > 1 or p.NT > 1) then return "PACK=rows has RG=1 and NT=1" end
  end,
  panel.whole_blocks,
  panel.needed_unpack,
}

dot.is_lossy = panel.is_lossy

function dot.default(format, isa)
  local wide = isa.registers == 32
  local point = {
    RV = wide and 4 or 2, RG = 1, KU = 1, PF = panel.prefetch(isa), NT = 1, UNPACK = "shift",
    PACK = panel.packs(format, isa) and "bits" or nil,
  }
  if panel.has_rows(format, isa) then point.PACK, point.KU = "rows", 4 end
  return point
end

-- Whether a point is worth trying for n tokens.
function dot.suits(point, n)
  return point.NT <= n and (point.NT * 4 >= n or point.NT >= 4)
end

function dot.relayout(point, rv, pack)
  local other = panel.relayout(point, rv, pack)
  if not other then return nil end
  while rv % other.RG ~= 0 do other.RG = other.RG // 2 end
  return other
end

-- Fields of 2-bit codes that stay where they are in a byte, but for the top one, which a shift alone takes out: a product
-- has 2^exp of the field's factor.  vars.exps lists these exps, from high to low.
local function mask_in_place(vars)
  for _, field in pairs(vars.fields) do
    field.exp = field.shift < 6 and field.shift or 0
    field.shift, field.mask = field.shift - field.exp, field.mask << field.exp
  end
  vars.exps = { 4, 2, 0 }
end

-- The template's view of a point.
function dot.vars(point, format, isa, act)
  local vars = panel.vars(point, format, isa, act)
  vars.prepared_bytes, vars.scratch_bytes, vars.prepare = 0, 0, "NULL"
  if vars.fours or vars.by_rows then vars.step_k = 64 end
  -- One token leaves some of 32 registers for sums of what has factors, so that nothing is shifted before the end of a block.
  vars.apart = vars.fours and point.NT == 1 and isa.registers == 32
  if vars.by_rows then
    vars.prepared_bytes, vars.prepare = 24, "qn_half_sums_" .. isa.name
  elseif isa.lanes and not vars.trits then
    local step_scale = format.super > 0 or format.group == 16 or format.group == 32
    vars.carried = vars.late and not step_scale
    if format.bits == 2 then mask_in_place(vars) end
    if not vars.carried then
      vars.float_start = #vars.exps == 1
      vars.bias = vars.bias << vars.exps[1]
    else
      vars.float_start = format.group > 0
    end
    vars.start_k = not vars.carried and 32 // format.halves or format.group > 0 and format.group or 256
    vars.prepared_bytes, vars.prepare = 16 * format.halves, "qn_starts_" .. isa.name
  end
  return vars
end

return dot
