-- A node says which incarnation this is, where functions may not ask by INFO. Between its mark and its word lies its question to the server: had
-- the server changed its data meanwhile, the mark would be gone with all that functions remember. The same question may reach two servers of a
-- cluster, so each makes a mark of its own.
--
-- KEYS  none
-- ARGV  mark: a name that no other node's mark has; gives the mark
-- ARGV  vouch: the mark, token

local marked

redis.register_function('arqonbus_mark_VERSION', function(KEYS, ARGV)
  local time = redis.call('TIME')
  -- The address of something new: another in each process.
  marked = table.concat({ ARGV[1], time[1], time[2], tostring({}) }, ' ')
  return marked
end)

redis.register_function('arqonbus_vouch_VERSION', function(KEYS, ARGV)
  if ARGV[1] ~= marked then
    return redis.error_reply('NOINFO this is not what was marked')
  end
  marked, vouched = nil, ARGV[2]
  return redis.status_reply('OK')
end)
