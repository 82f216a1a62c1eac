-- Where a live's history stands; it begins when it is first asked for.
--
-- KEYS: the live's head (hash), its versions (hash), its stream. ARGV: a fresh epoch, run id of this Redis, seconds kept
-- Returns epoch, seq, media ('' = none).
local known = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'seq', 'media')
local media = known[4] or ''
if known[1] and known[2] == ARGV[2] then return { known[1], known[3], media } end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'run', ARGV[2], 'seq', '0')
if media ~= '' then redis.call('HSET', KEYS[1], 'media', media) end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return { ARGV[1], '0', media }
