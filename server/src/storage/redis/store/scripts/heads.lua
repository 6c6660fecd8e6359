-- Where logs end. A log that is not there is begun, and one that this incarnation of the server has not written begins a new epoch.
--
-- KEYS  stream, meta, ids:0, ids:1 of each topic
-- ARGV  token, now, and for each topic: epoch for a new one, settings, messages held before the settings changed ("" where they did not)
-- gives for each topic: epoch, start, head, first held, bytes

redis.register_function('arqonbus_heads_VERSION', function(KEYS, ARGV)
  local token, now = incarnation(ARGV[1]), clock(ARGV[2])
  local states, at = {}, 3
  for key = 1, #KEYS, 4 do
    local settings, before = read_settings(ARGV[at + 1]), ARGV[at + 2]
    local log = enter_stream(KEYS, key, token, ARGV[at], now)
    if before ~= '' then
      local kept = math.min(settings.messages, number(before))
      trim(log.stream, math.max(0, log.head - kept + 1))
    end
    keep(log, settings)
    states[#states + 1] = state(log, settings)
    at = at + 3
  end
  return states
end)
