-- Rings bells while there is room; returns how many.
--
-- apalis-redis' own push would file them under `:scheduled` by the clock of whoever pushes, from where its workers
-- take them by theirs, all at once and by `unpack`. Straight into the list they need no clock and no unpack.
--
-- KEYS[1] the queue; ARGV[1] bells that may wait; ARGV[2..] bell, scan, bell, scan, …
local queue = KEYS[1]
local room = tonumber(ARGV[1]) - redis.call('llen', queue .. ':active')
local rung = 0
for i = 2, #ARGV, 2 do
  if rung >= room then break end
  local bell, scan = ARGV[i], ARGV[i + 1]
  -- What apalis-redis reads before it hands a task over. mend.lua knows a bell by exactly this.
  redis.call('hset', queue .. ':data', bell, scan)
  redis.call('hset', queue .. ':meta:' .. bell, 'attempts', '0', 'max_attempts', '1', 'status', 'Pending')
  redis.call('rpush', queue .. ':active', bell)
  rung = rung + 1
end
return rung
