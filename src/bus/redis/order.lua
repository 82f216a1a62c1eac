-- Gives an ordered fact its place, once; stores it in the live's stream; tells every node.
--
-- KEYS: the live's head (hash), its versions (hash), its stream; all under one hash tag.
-- ARGV: channel, a fresh epoch, run id of this Redis, now in ms, live, object ('' = always new), version,
--       edge ('', 'sold-out' or 'restocked'), media ('' or a word), the fact, entries kept, objects kept, seconds kept
-- Returns the seq, or 0 when the fact has a place already.
local head, versions, stream = KEYS[1], KEYS[2], KEYS[3]
local known = redis.call('HMGET', head, 'epoch', 'run')
local epoch = known[1]
if not epoch or known[2] ~= ARGV[3] then
  -- Another Redis, or an emptied one: what it remembers of the history may be old.
  local media = redis.call('HGET', head, 'media')
  redis.call('DEL', head, versions, stream)
  epoch = ARGV[2]
  redis.call('HSET', head, 'epoch', epoch, 'run', ARGV[3], 'seq', '0')
  if media then redis.call('HSET', head, 'media', media) end
end
if ARGV[6] ~= '' then
  local last = redis.call('HGET', versions, ARGV[6])
  if last then
    local split = string.find(last, ' ', 1, true)
    -- Versions fit a double's 53 bits: they count changes, or milliseconds.
    if tonumber(ARGV[7]) <= tonumber(string.sub(last, 1, split - 1)) then return 0 end
    if ARGV[8] ~= '' and string.sub(last, split + 1) == ARGV[8] then
      redis.call('HSET', versions, ARGV[6], ARGV[7] .. ' ' .. ARGV[8])
      return 0
    end
  elseif redis.call('HLEN', versions) >= tonumber(ARGV[12]) then
    redis.call('DEL', versions)
  end
  redis.call('HSET', versions, ARGV[6], ARGV[7] .. ' ' .. ARGV[8])
end
local seq = redis.call('HINCRBY', head, 'seq', 1)
if ARGV[9] ~= '' then redis.call('HSET', head, 'media', ARGV[9]) end
redis.call('XADD', stream, 'MAXLEN', '~', ARGV[11], seq .. '-1', 'at', ARGV[4], 'fact', ARGV[10])
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[13]) end
redis.call('SPUBLISH', ARGV[1], 'o ' .. ARGV[5] .. ' ' .. epoch .. ' ' .. seq .. ' ' .. ARGV[4] .. ' ' .. ARGV[10])
return seq
