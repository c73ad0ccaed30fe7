/**
 * Topics as NATS subjects: a prefix, a dot, and the topic as one token.
 *
 * Letters, digits and a few signs stand for themselves, any other UTF-16 unit is `_<hex>_`. So no topic reaches the
 * syntax of subjects (`.`, `*`, `>`, spaces), two topics never share a subject, and no name can be too long: 200
 * characters become 1,200 at most, and a server takes lines of 4,096.
 */
const plain = /^[A-Za-z0-9:/@=-]+$/
const special = /[^A-Za-z0-9:/@=-]/g

const escape = (unit: string): string => `_${unit.charCodeAt(0).toString(16)}_`

/** The subject of a topic. */
export const subjectOf = (prefix: string, topic: string): string =>
  plain.test(topic) ? `${prefix}.${topic}` : `${prefix}.${topic.replace(special, escape)}`

/** Whether it can be the first token of subjects; tokens that begin with `$` are the server's own. */
export const isPrefix = (prefix: string): boolean => /^[A-Za-z0-9_-]{1,64}$/.test(prefix)
