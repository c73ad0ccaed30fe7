/**
 * Names of Redis channels: the prefix and the topic, byte for byte.
 *
 * A channel is any string of bytes and no pattern, so little needs escaping. Half of a surrogate pair has no bytes of its
 * own and would arrive as U+FFFD, and what begins with `__` is Redis's and its client's, such as `__redis__:invalidate`.
 */

const marker = "\uFFFD"
const special = /^_(?=_)|[\uD800-\uDFFF\uFFFD]/gu

/** The marker stands in a channel only before the four digits of what it replaces. */
const escape = (unit: string): string => marker + unit.charCodeAt(0).toString(16).padStart(4, "0")

/** The channel of a topic. No two topics behind the same prefix share one. */
export const channelOf = (prefix: string, topic: string): string => {
  const name = prefix + topic
  const isPlain = name.isWellFormed() && !name.includes(marker) && !name.startsWith("__")
  return isPlain ? name : name.replace(special, escape)
}
