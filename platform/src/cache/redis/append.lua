-- Appends history records to their keys.
-- KEYS: the right to fill, then the history keys
-- ARGV: who must hold the right (empty: anybody may append what is new), its life (ms), life of a history key (s),
--       size at which a key is cut, records kept then, and per record the number of its keys and the record
-- A record begins with a byte for its length and one for its version; then comes the time, in eight bytes.
local call = redis.call
-- A point in time costs the server less than a span; by its own clock, whatever the callers' are.
local holder, expires_at = ARGV[1], string.format('%.0f', call('TIME')[1] + ARGV[3])
local cut_at, kept = tonumber(ARGV[4]), tonumber(ARGV[5])
local refilling = holder ~= ''
if refilling then
  if call('GET', KEYS[1]) ~= holder then return 0 end
  call('PEXPIRE', KEYS[1], ARGV[2])
end

-- Leaves the newest records, each once.
local function cut(key)
  local value, records, seen, at = call('GET', key), {}, {}, 1
  while at <= #value do
    local length = string.byte(value, at)
    if length < 10 then return error('a history record is damaged') end
    local record = string.sub(value, at, at + length - 1)
    if not seen[record] then
      seen[record] = true
      records[#records + 1] = {struct.unpack('>i8', record, 3), record}
    end
    at = at + length
  end
  table.sort(records, function(a, b) return a[1] > b[1] end)
  local newest = {}
  for i = 1, math.min(kept, #records) do newest[i] = records[i][2] end
  call('SET', key, table.concat(newest))
end

local key, arg = 2, 6
while key <= #KEYS do
  local record, following = ARGV[arg + 1], key + ARGV[arg]
  for i = key, following - 1 do
    if not (refilling and string.find(call('GET', KEYS[i]) or '', record, 1, true)) then
      if call('APPEND', KEYS[i], record) > cut_at then cut(KEYS[i]) end
      call('EXPIREAT', KEYS[i], expires_at)
    end
  end
  key, arg = following, arg + 2
end
return 1
