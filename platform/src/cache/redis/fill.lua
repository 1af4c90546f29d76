-- A step of whoever holds the right to fill history.
-- KEYS: the right, the mark of completeness, then the history keys to forget
-- ARGV: who must hold the right, its life (ms), what to do
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == 'forget' then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  redis.call('DEL', KEYS[2])
  for i = 3, #KEYS do redis.call('UNLINK', KEYS[i]) end
else
  if ARGV[3] == 'complete' then redis.call('SET', KEYS[2], 1) end
  redis.call('DEL', KEYS[1])
end
return 1
