-- Deletes a log with all it holds and remembers, and says so to whoever follows it.
--
-- KEYS  stream, meta, ids:0, ids:1, feed
-- ARGV  node, publish command, who deleted it

redis.register_function('arqonbus_delete_VERSION', function(KEYS, ARGV)
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
  redis.call(ARGV[2], KEYS[5], table.concat({ 'd', ARGV[1], ARGV[3] }, ' '))
  return redis.status_reply('OK')
end)
