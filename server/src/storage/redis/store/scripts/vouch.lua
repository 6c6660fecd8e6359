-- A node says which incarnation this is, where functions may not ask by INFO. Between its mark and its word lies its question to the server: had
-- the server changed its data meanwhile, the mark would be gone with all that functions remember.
--
-- KEYS  none
-- ARGV  mark: a name that no other mark has
-- ARGV  vouch: the name, token

local marked

redis.register_function('arqonbus_mark_VERSION', function(KEYS, ARGV)
  marked = ARGV[1]
  return redis.status_reply('OK')
end)

redis.register_function('arqonbus_vouch_VERSION', function(KEYS, ARGV)
  if ARGV[1] ~= marked then
    return redis.error_reply('NOINFO this is not what was marked')
  end
  marked, vouched = nil, ARGV[2]
  return redis.status_reply('OK')
end)
