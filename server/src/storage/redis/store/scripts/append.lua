-- Appends messages to one log or several: fence, ids, one entry, and one notice for each topic.
--
-- KEYS  stream, meta, ids:0, ids:1, feed of each topic
-- ARGV  token, now, node, publish command, count command
--       for each topic: epoch for a new one, settings, 1 where this node follows the feed, how many messages, the field b of the entry,
--         the ids: for each message key (16 bytes) and content (8 bytes); no key comes twice
-- gives for each topic: epoch, start, first seq given (0 for none), and nothing more where every message was stored;
--       else for each message its seq; -seq for one that was stored before; 0 for an id of another content

-- Indexes as text: made once, and not at every call.
local INDEX = {}
for i = 1, 1024 do
  INDEX[i] = '' .. (i - 1)
end

-- A notice with more than this says only where the head is.
local NOTICE_BYTES = 65536

-- Begins the next half of the window where the present one is over, or full.
local function turn(log, settings)
  if log.now - log.half_at < settings.dedup_ms and log.head - log.half_from < settings.dedup_ids then
    return
  end
  local half = 1 - log.half
  redis.call('HSET', log.meta, 'half', half, 'half_at', log.now, 'half_from', log.head)
  redis.call('DEL', log.ids[half])
  log.half, log.half_at, log.half_from, log.changed = half, log.now, log.head, true
end

-- Looks `keys` up in one half; puts what is found and still in the window into `seen`, by index.
local function look_up(log, settings, half, keys, seen)
  local found = false
  for i, value in ipairs(redis.call('HMGET', log.ids[half], unpack(keys))) do
    if value then
      local content, index, first, at = string.sub(value, 1, 8), string.match(value, '^(%d+),(%d+),(%d+)$', 9)
      if log.now - number(at) < settings.dedup_ms then
        seen[i], found = { content = content, seq = number(first) + number(index) }, true
      end
    end
  end
  return found
end

local function add(log, settings, count, blob)
  local last = log.head + count
  local header = count .. ',' .. log.latest .. ',' .. log.now .. ',' .. digits(log.bytes)
  local added = redis.call('XADD', log.stream, 'NOMKSTREAM', 'MINID', settings.messages > 0 and '~' or '=',
    '0-' .. math.max(0, last - settings.messages + 1), '0-' .. last, 'h', header, 'b', blob)
  if added then
    log.head, log.bytes = last, log.bytes + #blob + ENTRY_BYTES
  end
  return added
end

-- Without those that were seen.
local function fewer(blob, count, seen)
  local parts, fresh, at = {}, {}, 1
  for i = 1, count do
    local stop = string.find(blob, '\n', at, true)
    local length = number(string.match(string.sub(blob, at, stop - 1), '(%d+)$'))
    if not seen[i] then
      parts[#parts + 1], fresh[#fresh + 1] = string.sub(blob, at, stop + length), i
    end
    at = stop + length + 1
  end
  return table.concat(parts), fresh
end

-- Whether the bounds on age and bytes should be looked at: a few times while they are used up once, and not at every entry.
local function is_due(log, settings, bytes_before, at_before)
  return math.floor(log.bytes * 8 / settings.bytes) ~= math.floor(bytes_before * 8 / settings.bytes)
    or math.floor(log.now * 8 / settings.age_ms) ~= math.floor(at_before * 8 / settings.age_ms)
end

local function tell(log, node, commands, feed, follows, first, blob)
  -- Where nobody else follows, nobody is told: whoever comes reads the head once its subscription stands.
  if redis.call('PUBSUB', commands.count, feed)[2] <= follows then
    return
  end
  local count = #blob <= NOTICE_BYTES and log.head - first + 1 or 0
  local header = table.concat({ 'a', node, log.epoch, log.head, count }, ' ')
  redis.call(commands.publish, feed, count > 0 and header .. '\n' .. blob or header)
end

-- The latest of the timestamps, which never falls from entry to entry.
local function advance_latest(log, latest)
  if latest > log.latest then
    log.latest = latest
  end
end

-- Stores what is fresh; gives its first seq.
local function store(log, settings, epoch, blob, ids, keys, fresh)
  if not add(log, settings, #fresh, blob) then
    begin(log, epoch)
    add(log, settings, #fresh, blob)
  end
  local first = log.head - #fresh + 1
  local tail = ',' .. first .. ',' .. log.now
  local values = {}
  for j, i in ipairs(fresh) do
    values[2 * j - 1], values[2 * j] = keys[i], string.sub(ids, 24 * i - 7, 24 * i) .. INDEX[j] .. tail
  end
  redis.call('HSET', log.ids[log.half], unpack(values))
  redis.call('HSET', log.meta, 'head', log.head, 'bytes', digits(log.bytes), 'latest', log.latest, 'at', log.now)
  return first
end

local function seqs(count, seen, ids, first)
  local reply, given = {}, 0
  for i = 1, count do
    if not seen[i] then
      reply[i] = first + given
      given = given + 1
    else
      reply[i] = seen[i].content == string.sub(ids, 24 * i - 7, 24 * i) and -seen[i].seq or 0
    end
  end
  return reply
end

local function append(log, settings, topic, ids, count)
  local bytes_before, at_before = log.bytes, log.at
  turn(log, settings)
  local keys, all, seen = {}, {}, {}
  for i = 1, count do
    keys[i], all[i] = string.sub(ids, 24 * i - 23, 24 * i - 8), i
  end
  local some = log.head > log.half_from and look_up(log, settings, log.half, keys, seen)
  some = look_up(log, settings, 1 - log.half, keys, seen) or some
  local blob, fresh = topic.blob, all
  if some then
    blob, fresh = fewer(blob, count, seen)
  end
  local first = 0
  if #fresh > 0 then
    advance_latest(log, topic.latest)
    first = store(log, settings, topic.epoch, blob, ids, keys, fresh)
    if is_due(log, settings, bytes_before, at_before) then
      first_held(log, settings)
    end
    tell(log, topic.node, topic.commands, topic.feed, topic.follows, first, blob)
  end
  keep(log, settings)
  return { log.epoch, log.start, first, unpack(some and seqs(count, seen, ids, first) or {}) }
end

redis.register_function('arqonbus_append_VERSION', function(KEYS, ARGV)
  local token, now = incarnation(ARGV[1]), clock(ARGV[2])
  local topic = { node = ARGV[3], commands = { publish = ARGV[4], count = ARGV[5] } }
  local replies, at = {}, 6
  for key = 1, #KEYS, 5 do
    topic.epoch, topic.latest, topic.follows, topic.blob, topic.feed = ARGV[at], ARGV[at + 2], number(ARGV[at + 3]), ARGV[at + 5], KEYS[key + 4]
    local settings, count = read_settings(ARGV[at + 1]), number(ARGV[at + 4])
    local log = enter(KEYS, key, token, topic.epoch, now)
    replies[#replies + 1] = append(log, settings, topic, ARGV[at + 6], count)
    at = at + 7
  end
  return replies
end)
