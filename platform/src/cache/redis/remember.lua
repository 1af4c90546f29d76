-- Remembers finished verdicts and history entries.
-- KEYS: the verdicts' keys, then the history keys
-- ARGV: number of verdicts, life of a history key (ms), entries kept, entries at which old ones are cut,
--       then per verdict its life (ms) and value, then per history key a transaction and its entry
-- A history key is a hash from transaction to entry, so that the same order again replaces itself. An entry begins with
-- a byte for its version and eight for the time.
local verdicts, life = tonumber(ARGV[1]), ARGV[2]
local kept, cut_at = tonumber(ARGV[3]), tonumber(ARGV[4])

local function cut(key)
  local flat, entries = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do
    entries[#entries + 1] = {flat[i], struct.unpack('>i8', flat[i + 1], 2)}
  end
  table.sort(entries, function(a, b)
    if a[2] ~= b[2] then return a[2] > b[2] end
    return a[1] > b[1]
  end)
  for i = kept + 1, #entries do
    redis.call('HDEL', key, entries[i][1])
  end
end

local arg = 5
for i = 1, #KEYS do
  if i <= verdicts then
    redis.call('SET', KEYS[i], ARGV[arg + 1], 'PX', ARGV[arg])
  else
    redis.call('HSET', KEYS[i], ARGV[arg], ARGV[arg + 1])
    redis.call('PEXPIRE', KEYS[i], life)
    if redis.call('HLEN', KEYS[i]) >= cut_at then
      cut(KEYS[i])
    end
  end
  arg = arg + 2
end
return 0
