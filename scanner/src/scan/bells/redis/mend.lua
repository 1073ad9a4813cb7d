-- Throws out whatever cannot be a bell, and what is left of one worker; returns how much garbage there was.
--
-- A single id without its data ends the apalis worker that fetches it; a wrong type or a flood ends them all, again
-- and again. Nothing in here is worth keeping at that price: rows are the truth.
--
-- KEYS[1] the queue; ARGV[1] more than this is a flood; ARGV[2] seconds after which what a worker left may expire;
-- ARGV[3] a worker that is gone, or ''; ARGV[4..] bells that are being answered still, and need not be again.
local queue, flood, leftover, gone = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3]
local active, data, workers = queue .. ':active', queue .. ':data', queue .. ':workers'
local garbage = 0

local function meta_of(bell) return queue .. ':meta:' .. bell end
local function inflight_of(worker) return queue .. ':inflight:' .. worker end
local function type_of(key) return redis.call('type', key).ok end

local function discard(key, amount)
  redis.call('unlink', key)
  garbage = garbage + amount
end

-- Keeps a key only if it is of this type and no flood.
local function expect(key, kind, size)
  local found = type_of(key)
  if found == 'none' then return end
  if found ~= kind then return discard(key, 1) end
  local amount = redis.call(size, key)
  if amount > flood then discard(key, amount) end
end

local function is_bell(id)
  if #id ~= 32 or id:find('[^0-9a-f]') then return false end
  if redis.call('hstrlen', data, id) ~= 36 or redis.call('hget', data, id):find('[^0-9a-f-]') then return false end
  if type_of(meta_of(id)) ~= 'hash' or redis.call('hlen', meta_of(id)) ~= 3 then return false end
  local meta = redis.call('hmget', meta_of(id), 'attempts', 'max_attempts', 'status')
  return meta[1] == '0' and meta[2] == '1' and meta[3] == 'Pending'
end

local function forget(id)
  redis.call('hdel', data, id)
  redis.call('unlink', meta_of(id))
end

expect(active, 'list', 'llen')
expect(data, 'hash', 'hlen')
expect(workers, 'zset', 'zcard')
-- apalis' list of all queues; without it no worker registers.
expect('core:apalis:queues:list', 'zset', 'zcard')
-- Nothing of ours is ever put there: no delays, no retries, no results.
expect(queue .. ':scheduled', 'zset', 'zcard')
discard(queue .. ':scheduled', redis.call('zcard', queue .. ':scheduled'))
redis.call('unlink', queue .. ':done', queue .. ':dead', queue .. ':failed', queue .. ':signal')

local known, waiting, bad = {}, {}, 0
for _, id in ipairs(redis.call('lrange', active, 0, -1)) do
  if is_bell(id) and not known[id] then
    known[id] = true
    table.insert(waiting, id)
  else
    bad = bad + 1
  end
end
if bad > 0 then
  discard(active, bad)
  for _, id in ipairs(waiting) do redis.call('rpush', active, id) end
end

local answering = {}
for i = 4, #ARGV do answering[ARGV[i]] = true end

for _, worker in ipairs(redis.call('zrange', workers, 0, -1)) do
  local inflight = inflight_of(worker)
  expect(inflight, 'set', 'scard')
  for _, id in ipairs(redis.call('smembers', inflight)) do
    if not is_bell(id) then
      redis.call('srem', inflight, id)
      garbage = garbage + 1
    else
      known[id] = true
    end
  end
  -- Of a worker that is killed these would stay for ever.
  redis.call('expire', inflight, leftover)
  redis.call('expire', queue .. ':workers:metadata:' .. worker, leftover)
end

if gone ~= '' then
  local inflight = inflight_of(gone)
  expect(inflight, 'set', 'scard')
  for _, id in ipairs(redis.call('smembers', inflight)) do
    if answering[id] or not is_bell(id) then
      forget(id)
    else
      -- Taken, and not begun: for somebody else, and first. With memory short it is lost, which is no harm.
      redis.pcall('lpush', active, id)
      known[id] = true
    end
  end
  redis.call('unlink', inflight, queue .. ':workers:metadata:' .. gone)
  redis.call('zrem', workers, gone)
end

for _, id in ipairs(redis.call('hkeys', data)) do
  if not known[id] then forget(id) end
end
return garbage
