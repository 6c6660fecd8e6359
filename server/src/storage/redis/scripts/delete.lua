-- Deletes a log with all it holds and remembers, and says so to whoever follows it.
--
-- KEYS  stream, meta, ids:0, ids:1, feed
-- ARGV  node, publish command, who deleted it

local epoch = redis.call('HGET', KEYS[2], 'epoch')
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
if epoch then
  redis.call(ARGV[2], KEYS[5], table.concat({ 'd', ARGV[1], epoch, ARGV[3] }, ' '))
end
return redis.status_reply('OK')
