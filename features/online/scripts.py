"""The Lua scripts that write and delete hashes. They compare and set: what is newer in Redis stays.

Places in stamps come from `layout`; `$` marks what is filled in.
"""

from string import Template

from features.online.layout import LUA_NAMES

# PUBLISH and RESTAMP begin with this. The ends of TTLs are computed once, because EXPIRE is translated into PEXPIREAT
# for each key.
OPENING = """
local call, sub, time = redis.call, string.sub, redis.call('TIME')
local function end_of(ttl)
  return string.format('%.0f', (time[1] + ttl) * 1000 + math.floor(time[2] / 1000))
end
"""

# PUBLISH: write values over older ones.
#
# KEYS: the hashes. ARGV: the TTL, the TTL of a customer without values, then for each key a msgpack document, see
# `store.encode_hash`: the places at which the parts end, of which there is one for each feature type; the texts of all
# parts, each of them [stamp field, stamp, field, value, …]; and for each part the names to delete.
# Returns the number of parts that were newer than what the hashes held.
#
# Of two stamps of one version, the newer has the later history row, and of one row the later moment; of two versions,
# the newer has the later moment. Names that the newer values do not have are deleted, and the others written, at once:
# no value of older ones stays between newer ones. The TTL is renewed either way.
#
# In the hash of an erased customer, values of rows that were there at the erasure are not written, and a hash without
# other values keeps its TTL.
PUBLISH = Template("""$opening
local function is_newer(held, new)
  if sub(held, $version_begins) == sub(new, $version_begins) then
    local row_held, row_new = sub(held, $row_begins), sub(new, $row_begins)
    if row_held ~= row_new then return row_held < row_new end
    return held < new
  end
  return sub(held, 1, $moment_ends) <= sub(new, 1, $moment_ends)
end
local function of_other_parts(texts, ends, refused)
  local kept, first = {}, 1
  for n, last in ipairs(ends) do
    for place = first, refused[n] and 0 or last do kept[#kept + 1] = texts[place] end
    first = last + 1
  end
  return kept
end
local held_until, absent_until, published = end_of(ARGV[1]), end_of(math.min(ARGV[1], ARGV[2])), 0
for i, key in ipairs(KEYS) do
  local ends, texts, names = unpack(cmsgpack.unpack(ARGV[i + 2]))
  local fields, first, refused, gone, holds_any = {}, 1, nil, {}, false
  for n, last in ipairs(ends) do fields[n], first = texts[first], last + 1 end
  fields[#ends + 1] = '$erased_field'
  local held = call('HMGET', key, unpack(fields))
  local erased = held[#fields]
  first = 1
  for n, last in ipairs(ends) do
    local stamp = texts[first + 1]
    local is_erased = erased and stamp ~= '' and sub(stamp, $row_begins, $row_ends) <= erased
    if is_erased or held[n] and not is_newer(held[n], stamp) then
      refused = refused or {}
      refused[n], stamp = true, held[n]
    else
      if held[n] then for _, name in ipairs(names[n]) do gone[#gone + 1] = name end end
      published = published + 1
    end
    if stamp and stamp ~= '' then holds_any = true end
    first = last + 1
  end
  if refused then texts = of_other_parts(texts, ends, refused) end
  -- Written first: a full Redis refuses HSET only where its script has written nothing yet.
  for begin = 1, #texts, 4000 do call('HSET', key, unpack(texts, begin, math.min(begin + 3999, #texts))) end
  for begin = 1, #gone, 4000 do call('HDEL', key, unpack(gone, begin, math.min(begin + 3999, #gone))) end
  if holds_any or not erased then call('PEXPIREAT', key, holds_any and held_until or absent_until) end
end
return published
""").substitute(LUA_NAMES, opening=OPENING)

# RESTAMP: give hashes a later moment, the values that changed, and a new TTL.
#
# KEYS: the hashes. ARGV: the TTL, the moment, and a msgpack document of columns, see `restamp.RestampedHashes`: stamp
# fields, expected rows, new rows, names, changed values; the columns are in the order of the keys.
# Returns the places of the hashes that hold other rows than expected; they stay as they are. Hashes of a later moment
# stay as they are, too.
RESTAMP = Template("""$opening
local moment, held_until = ARGV[2], end_of(ARGV[1])
local stamps, expected, endings, names, changed = unpack(cmsgpack.unpack(ARGV[3]))
local width, new, others = #stamps, {}, {}
for n, stamp in ipairs(stamps) do new[2 * n - 1] = stamp end
for i, key in ipairs(KEYS) do
  local held, is_expected, is_later = width > 0 and call('HMGET', key, unpack(stamps)), true, false
  for n = 1, width do
    local stamp = held[n]
    if not stamp or sub(stamp, $row_text_begins) ~= expected[n][i] then
      is_expected = false
      others[#others + 1] = i
      break
    end
    is_later = is_later or stamp > moment
    new[2 * n] = stamp == '' and '' or moment .. (endings[n] and endings[n][i] or expected[n][i])
  end
  if is_expected and not is_later then
    local last = 2 * width
    for n, name in ipairs(names) do
      local text = changed[n][i]
      if not text then
        call('HDEL', key, name)
      elseif text ~= '' then
        new[last + 1], new[last + 2] = name, text
        last = last + 2
      end
    end
    if last > 0 then call('HSET', key, unpack(new, 1, last)) end
    call('PEXPIREAT', key, held_until)
  end
end
return others
""").substitute(LUA_NAMES, opening=OPENING)

# ERASE: delete hashes, and leave in their place the row up to which nothing is published any more.
#
# KEYS: the hashes. ARGV: the row, and for how many seconds it stays. Returns the number of hashes that there were.
#
# All are deleted first: a Redis without memory lets a script delete, and then write.
ERASE = Template("""
local call, deleted = redis.call, 0
for _, key in ipairs(KEYS) do
  if call('HLEN', key) > call('HEXISTS', key, '$erased_field') then deleted = deleted + 1 end
  call('DEL', key)
end
for _, key in ipairs(KEYS) do
  call('HSET', key, '$erased_field', ARGV[1])
  call('EXPIRE', key, ARGV[2])
end
return deleted
""").substitute(LUA_NAMES)
