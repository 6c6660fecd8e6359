-- What every function needs: the log of one topic, and whether this server still is the one that wrote it.
--
-- A log is four keys with one hash tag:
--   stream  one entry for the messages that were appended together: id `0-<last seq>`, field h = "<count>,<latest>,<at>,<before>",
--           field b = for each message "<hole>,<timestamp>,<bytes>\n" and the envelope without its position
--   meta    token, epoch, start, head, and the counters below
--   ids:0, ids:1  ids seen in the present and in the former half of the window: (principal, id) → content, index, first seq, at
--
-- The token names the incarnation of the server's data (`master_replid`). Where it differs, or where one of stream and meta is gone, the log
-- may have lost its end: a new epoch begins after what the stream still holds.

local ENTRY_BYTES = 64

local function number(text)
  return tonumber(text) or 0
end

-- In digits, also past 10^14, where Lua would write an exponent. A topic's seqs do not get there; its bytes might.
local function digits(value)
  return string.format('%.0f', value)
end

-- Milliseconds of this server's clock; a test gives its own.
local function clock(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The incarnation of this server's data; where INFO is refused, the node has asked for it beforehand.
local function incarnation(given)
  if given ~= '' then
    return given
  end
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end

local function last_of(entry)
  return number(string.sub(entry[1], 3))
end

local function read_header(entry)
  local count, latest, at, before = string.match(entry[2][2], '^(%d+),(%d+),(%d+),(%d+)$')
  local last = last_of(entry)
  return { first = last - number(count) + 1, last = last, latest = latest, at = number(at), before = number(before) }
end

-- The entry that `seq` is in, or the first after it.
local function entry_from(stream, seq)
  return redis.call('XRANGE', stream, '0-' .. seq, '+', 'COUNT', 1)[1]
end

local function stream_end(stream)
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      return number(string.match(info[i + 1], '%-(%d+)$'))
    end
  end
end

-- A new epoch after what the stream still holds.
local function begin(log, epoch)
  log.epoch, log.head, log.changed = epoch, 0, true
  if redis.call('EXISTS', log.stream) == 1 then
    log.head = stream_end(log.stream)
    local last = redis.call('XREVRANGE', log.stream, '+', '-', 'COUNT', 1)[1]
    if last then
      local header = read_header(last)
      log.bytes = math.max(log.bytes, header.before + #last[2][4] + ENTRY_BYTES)
      log.latest, log.at = header.latest, math.max(log.at, header.at)
    end
  else
    log.bytes, log.latest = 0, '0000000000000'
    redis.call('XGROUP', 'CREATE', log.stream, '_', '$', 'MKSTREAM')
    redis.call('XGROUP', 'DESTROY', log.stream, '_')
    -- What they name is gone.
    redis.call('DEL', log.ids[0], log.ids[1])
    log.half_from = 0
  end
  log.start = log.head
  redis.call('HSET', log.meta, 'token', log.token, 'epoch', epoch, 'start', log.start, 'head', log.head, 'half', log.half,
    'half_from', log.half_from, 'bytes', digits(log.bytes), 'latest', log.latest, 'at', log.at)
end

-- Opens the log at keys[at…at+3]; `epoch` is what a new one would be called.
local function enter(keys, at, token, epoch, now)
  local log = { stream = keys[at], meta = keys[at + 1], ids = { [0] = keys[at + 2], [1] = keys[at + 3] }, token = token }
  local held = redis.call('HMGET', log.meta, 'token', 'epoch', 'start', 'head', 'half', 'half_at', 'half_from', 'bytes', 'latest', 'at', 'kept_at')
  log.epoch, log.start, log.head = held[2], number(held[3]), number(held[4])
  log.half, log.half_at, log.half_from = number(held[5]), number(held[6]), number(held[7])
  log.bytes, log.latest, log.at, log.kept_at = number(held[8]), held[9] or '0000000000000', number(held[10]), number(held[11])
  -- A clock that was set back must not make an entry older than the one before.
  log.now = math.max(now, log.at)
  if held[1] ~= token then
    begin(log, epoch)
  end
  return log
end

-- The same, and the stream is there.
local function enter_stream(keys, at, token, epoch, now)
  local log = enter(keys, at, token, epoch, now)
  if redis.call('EXISTS', log.stream) == 0 then
    begin(log, epoch)
  end
  return log
end

-- Lets the keys live as long as what they hold may be asked for.
local function keep(log, settings)
  if log.now - log.kept_at < settings.keep_ms / 4 and not log.changed then
    return
  end
  for _, key in ipairs({ log.stream, log.meta, log.ids[0], log.ids[1] }) do
    redis.call('PEXPIRE', key, settings.keep_ms)
  end
  redis.call('HSET', log.meta, 'kept_at', log.now)
end

local function holds(log, settings, header)
  return log.now - header.at < settings.age_ms and log.bytes - header.before <= settings.bytes
end

-- The header of the first entry from `low` on that is neither too old nor too much. Age and bytes only grow towards the past: it is found by
-- halving. What lies before it is given up.
local function give_up(log, settings, low)
  local high, found = log.head + 1, nil
  while low < high do
    local middle = math.floor((low + high) / 2)
    local entry = entry_from(log.stream, middle)
    local header = entry and read_header(entry)
    if not header then
      high = middle
    elseif holds(log, settings, header) then
      high, found = math.min(middle, header.first), header
    else
      low = header.last + 1
    end
  end
  redis.call('XTRIM', log.stream, 'MINID', '=', '0-' .. (found and found.first or log.head + 1))
  return found
end

-- The first seq that is held by the settings (head + 1 where none is), and the header of its entry.
local function first_held(log, settings)
  local low = math.max(1, log.head - settings.messages + 1)
  local entry = settings.messages > 0 and entry_from(log.stream, low)
  if not entry then
    return log.head + 1
  end
  local header = read_header(entry)
  if not holds(log, settings, header) then
    header = give_up(log, settings, header.last + 1)
  end
  return header and math.max(low, header.first) or log.head + 1, header
end

-- Settings by their text: a bus has few.
local parsed, parsed_count = {}, 0

local function parse_settings(text)
  local messages, age_ms, bytes, dedup_ms, dedup_ids, keep_ms = string.match(text, '^(%d+),(%d+),(%d+),(%d+),(%d+),(%d+)$')
  return {
    messages = number(messages), age_ms = number(age_ms), bytes = number(bytes), dedup_ms = number(dedup_ms), dedup_ids = number(dedup_ids),
    keep_ms = number(keep_ms),
  }
end

local function read_settings(text)
  local settings = parsed[text]
  if not settings then
    settings = parse_settings(text)
    if parsed_count == 1000 then
      parsed, parsed_count = {}, 0
    end
    parsed[text], parsed_count = settings, parsed_count + 1
  end
  return settings
end

-- epoch, where it began, head, first held (0 where nothing is), bytes.
local function state(log, settings)
  local first, header = first_held(log, settings)
  local bytes = header and log.bytes - header.before or 0
  return { log.epoch, log.start, log.head, first <= log.head and first or 0, bytes }
end
