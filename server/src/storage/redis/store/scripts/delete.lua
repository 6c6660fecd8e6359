-- Deletes a log with all it holds and remembers, and says so to whoever follows it.
--
-- KEYS  stream, meta, ids:0, ids:1, feed, groups; the keys of each group are named after the last, in the same slot
-- ARGV  node, publish command, who deleted it, token, the epoch that follows
--
-- For a minute meta remains, which names that epoch: a node that has not heard of it by then has forgotten what it would put back.

local REMEMBERED_MS = 60000

redis.register_function('arqonbus_delete_VERSION', function(KEYS, ARGV)
  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
  for _, name in ipairs(redis.call('SMEMBERS', KEYS[6])) do
    local group = string.sub(KEYS[6], 1, -2) .. ':' .. name
    redis.call('UNLINK', group, group .. ':jobs', group .. ':order', group .. ':held')
  end
  redis.call('UNLINK', KEYS[6])
  redis.call('SET', KEYS[2], struct.pack(META, FORMAT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ARGV[5], incarnation(ARGV[4])), 'PX', REMEMBERED_MS)
  redis.call(ARGV[2], KEYS[5], table.concat({ 'd', ARGV[1], ARGV[3] }, ' '))
  return redis.status_reply('OK')
end)
