-- gemm: many tokens.
--
-- KC columns of a panel are decoded once, codes to bytes and scales to floats, and stay in the
-- second-level cache; tiles of RG vectors of rows and NT tokens are multiplied from there.  PG panels
-- take their turns with the same columns, so that the activations of those stay near as well.  The packed
-- weights are those of dot.

local panel = require("panel")

local pass_tokens = 512   -- QN_PASS_TOKENS of runtime/kernel.h

local gemm = {
  name = "gemm",
  template = "gemm.c.tmpl",
  doc = "many tokens, codes decoded once",
  parameters = {
    { name = "RV", tile = "r", values = { 1, 2, 3, 4, 6, 8, 12 }, ordered = true },
    { name = "RG", tile = "g", values = { 1, 2, 3, 4 }, ordered = true },
    { name = "NT", tile = "n", values = { 1, 2, 3, 4, 6, 8, 10, 12 }, ordered = true },
    { name = "KC", tile = "k", values = { 256, 512, 1024, 2048, 4096 }, ordered = true },
    { name = "PG", tile = "m", values = { 1, 2, 4, 8 }, ordered = true },
    { name = "ORDER", tile = "o", values = { "rows", "tokens" } },
    { name = "PART", tile = "p", values = function(format)
      return format.group > 32 and format.super == 0 and { 0, 1 } or { 0 }
    end },
    { name = "UNPACK", tile = "u", values = function(_, isa) return isa.unpack end },
    { name = "XB", tile = "x", values = panel.act_bits, usual = 8 },
    { name = "PACK", tile = "c", values = panel.packs_decoded },
  },
}

gemm.rules = {
  panel.even_rows(function(p) return p.RV end),
  function(p)
    if p.RV % p.RG ~= 0 then return ("RG=%d does not divide RV=%d"):format(p.RG, p.RV) end
  end,
  function(p, format, isa, act)
    if p.PART == 1 and act == "a8r" then return "PART has no meaning with one scale a token" end
  end,
  function(p, format, isa)
    local live = p.RG * p.NT * format.halves + p.RG + 1
    if live > isa.registers or live < isa.registers // 4 then
      return ("RG=%d NT=%d keeps %d vectors alive, %s has %d registers"):format(p.RG, p.NT, live,
        isa.name, isa.registers)
    end
  end,
  function(p, _, isa)
    if p.RV * isa.vector_bytes // 4 * p.KC > 512 << 10 then
      return "RV * KC: the decoded panel has to stay in a second-level cache"
    end
  end,
  panel.needed_unpack,
}

gemm.is_lossy = panel.is_lossy

function gemm.default(format, isa)
  local wide = isa.registers == 32
  return {
    RV = wide and 4 or 2, RG = 2, NT = (wide and 6 or 2) // format.halves, KC = 1024, PG = 2, ORDER = "rows", PART = 0,
    UNPACK = "shift", PACK = panel.packs_decoded(format, isa) and "bits" or nil,
  }
end

-- Whether a point is worth trying for n tokens.
function gemm.suits(point, n)
  return n >= 4 and point.NT <= n
end

-- The point for panels of RV vectors of rows, packed so; nil where there is none.
function gemm.relayout(point, rv, pack)
  local other = panel.relayout(point, rv, pack)
  if not other then return nil end
  while rv % other.RG ~= 0 do other.RG = other.RG - 1 end
  if other.RG == 1 then other.NT = 8 end
  while rv * other.KC > 4 * 4096 do other.KC = other.KC // 2 end
  return other
end

function gemm.vars(point, format, isa)
  local vars = panel.vars(point, format, isa)
  -- KC in whole blocks, for trits about as much in theirs.
  local kc = point.KC // vars.block * vars.block
  local span = format.group > 0 and math.min(format.group, kc) or kc
  local floats = format.group == 0 and 0 or kc // span * (format.has_min and 2 or 1)
  vars.kc, vars.span = kc, span
  vars.scaled = format.group > 0                  -- by more than a scale a row
  vars.long_span = span > 32                      -- a scale for more than one group of 32 k
  vars.min_floats = vars.panel_rows * (kc // span)   -- scales, which minima stand behind
  vars.steps = vars.block // 32                   -- groups of 32 k in a block
  vars.head = format.head_bytes * vars.panel_rows -- its scales
  vars.row_head = format.group == 0 and 4 * vars.panel_rows or 0
  vars.block_bytes = vars.head + (vars.trits and 1 or vars.steps) * point.RV * vars.vector_bytes
  vars.direct = format.bits == 8                  -- packed codes are bytes already
  vars.byte_area = vars.direct and 0 or vars.panel_rows * kc
  vars.tile_sums = format.halves + (format.has_min and 16 or 0)
  vars.tile_bytes = 36 + 4 * format.halves * (format.has_min and 2 or 1)
  vars.prepared_bytes, vars.prepare = vars.tile_bytes, "qn_tiles_" .. isa.name
  -- Sums of all tokens of a pass wait in scratch memory: rows of y may lie a power of two apart, where
  -- they would drive each other out of the caches.
  vars.sum_area = vars.byte_area + 4 * vars.panel_rows * floats
  vars.sum_floats = (pass_tokens + point.NT - 1) // point.NT * point.NT * vars.panel_rows
  vars.scratch_bytes = vars.sum_area + 4 * point.PG * vars.sum_floats
  return vars
end

return gemm
