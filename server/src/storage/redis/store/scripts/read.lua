-- Reads entries of one log, and its state at the same instant.
--
-- KEYS  stream, meta, ids:0, ids:1
-- ARGV  token, now, epoch for a new one, settings, since, until, messages, bytes, 1 for newest first
--       since and until: "" for none, "s<seq>", or "t<timestamp>" of 13 digits
-- gives the state, the first and the last seq of the range, and entries that hold so many messages or bytes of it, or all of it: last seq,
-- field h, field b of each

-- The seq of the first held message with a later timestamp; head + 1 where none is.
local function cut(log, first, timestamp)
  -- `latest` never falls from entry to entry: it is later from one entry on. Its messages themselves may be earlier, where what is no longer
  -- held was later.
  local low, high = first, log.head + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local entry = entry_from(log.stream, middle)
    local header = entry and read_header(entry)
    if not header or header.latest > timestamp then
      high = header and math.max(low, math.min(middle, header.first)) or middle
      if header and high == low then
        break
      end
    else
      low = header.last + 1
    end
  end
  local entry = entry_from(log.stream, high)
  while entry do
    local header, blob, at = read_header(entry), entry[2][4], 1
    for seq = header.first, header.last do
      local _, stop, sent, length = string.find(blob, '^%d+,(%d+),(%d+)\n', at)
      if seq >= first and number(sent) > timestamp then
        return seq
      end
      at = stop + number(length) + 1
    end
    entry = entry_from(log.stream, header.last + 1)
  end
  return log.head + 1
end

-- The last seq before a bound, which takes what follows it; `without` where there is no bound.
local function place(log, first, bound, without)
  if bound == '' then
    return without
  end
  if string.sub(bound, 1, 1) == 's' then
    return math.min(number(string.sub(bound, 2)), log.head)
  end
  return cut(log, first, number(string.sub(bound, 2))) - 1
end

local function page(log, from, to, messages, bytes, backward)
  local reply = {}
  while from <= to and messages > 0 and bytes > 0 do
    local entry
    if backward then
      entry = entry_from(log.stream, to)
    else
      entry = entry_from(log.stream, from)
    end
    if not entry then
      break
    end
    local header = read_header(entry)
    messages, bytes = messages - (math.min(header.last, to) - math.max(header.first, from) + 1), bytes - #entry[2][4]
    reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = header.last, entry[2][2], entry[2][4]
    if backward then
      to = header.first - 1
    else
      from = header.last + 1
    end
  end
  return reply
end

redis.register_function('arqonbus_read_VERSION', function(KEYS, ARGV)
  local token, now = incarnation(ARGV[1]), clock(ARGV[2])
  local settings = read_settings(ARGV[4])
  local log = enter_stream(KEYS, 1, token, ARGV[3], now)
  keep(log, settings)
  local held = state(log, settings)
  local first = held[4]
  if first == 0 then
    return { held, 1, 0, {} }
  end
  local from = math.max(place(log, first, ARGV[5], 0) + 1, first)
  local to = place(log, first, ARGV[6], log.head)
  return { held, from, to, page(log, from, to, number(ARGV[7]), number(ARGV[8]), ARGV[9] == '1') }
end)
