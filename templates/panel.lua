-- panel: what the families that share panel layouts have in common: rules and relayouts.

local panel = {}

-- A rule of a family: nil, or why a point is illegal.  sums(point): vectors of 32-bit sums in a panel.
function panel.even_rows(sums)
  return function(p, format)
    if format.group > 0 and sums(p) % 2 == 1 then
      return "RV must be even: the f16 scales of a block have to fill whole vectors"
    end
  end
end

-- KU steps of 32 k at a time have to end with the weight group.
function panel.whole_groups(p, format)
  if format.group > 32 and format.group // 32 % p.KU ~= 0 then
    return ("KU=%d does not divide the %d steps of a group"):format(p.KU, format.group // 32)
  end
end

function panel.needed_unpack(p, format)
  if p.UNPACK ~= "shift" and format.bits == 8 then return "8-bit codes need no unpacking" end
end

-- A copy of a point with panels of RV vectors of rows.
function panel.relayout(point, rv)
  local other = {}
  for name, v in pairs(point) do other[name] = v end
  other.RV = rv
  return other
end

return panel
