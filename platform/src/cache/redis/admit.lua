-- Admits one request. Must agree with rate.rs and with the embedded adapter.
-- KEYS: revocation of the key, backlog of the store, of a signed request its nonce, and finished verdict (the last two
-- may be missing)
-- ARGV: now (ms), requests a minute, mark, life of a nonce (ms), life of a backlog (ms), weight of a request
-- Answers {outcome, backlog, verdict}; outcomes: 0 admitted, 1 revoked, 2 too many requests, 3 replayed
local now, limit, request = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[6])

if redis.call('EXISTS', KEYS[1]) == 1 then
  return {1, 0, false}
end
-- Before the limit: whoever sends a captured request again takes no slot of the store.
if KEYS[3] and redis.call('EXISTS', KEYS[3]) == 1 then
  return {3, 0, false}
end

local at, level = now, 0
local stored = redis.call('GET', KEYS[2])
if stored then
  local stored_at, stored_level = string.match(stored, '^(%d+):(%d+)$')
  at, level = tonumber(stored_at), tonumber(stored_level)
  if now > at then
    level = math.max(0, level - (now - at) * limit)
    at = now
  end
end
if level + request > limit * request then
  return {2, level, false}
end
level = level + request
redis.call('SET', KEYS[2], string.format('%.0f:%.0f', at, level), 'PX', ARGV[5])

if KEYS[3] then
  redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4])
end
return {0, level, KEYS[4] and redis.call('GET', KEYS[4]) or false}
