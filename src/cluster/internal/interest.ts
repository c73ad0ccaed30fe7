/**
 * Which other nodes listen to which topic, as they have said themselves.
 *
 * What nobody listens to need not travel, and what one node listens to travels with everything else for that node.
 */

const nobody: ReadonlySet<string> = new Set()

/** FNV-1a, 32 bits. */
const hashOf = (text: string): number => {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash
}

/** Topics, and a short name for all of them together: two of the same have the same, others hardly ever. */
export class Topics {
  /** With the number of what they were told with. */
  readonly #topics = new Map<string, number>()
  #hash = 0

  get all(): ReadonlyArray<string> {
    return Array.from(this.#topics.keys())
  }

  get digest(): string {
    return `${this.#topics.size} ${this.#hash}`
  }

  add(topic: string, number = 0): void {
    const before = this.#topics.get(topic)
    this.#topics.set(topic, Math.max(number, before ?? 0))
    if (before === undefined) this.#hash ^= hashOf(topic)
  }

  delete(topic: string): void {
    if (this.#topics.delete(topic)) this.#hash ^= hashOf(topic)
  }

  /** Whether it was told with a greater number. */
  isAfter(topic: string, number: number): boolean {
    return (this.#topics.get(topic) ?? 0) > number
  }
}

export class Interest {
  readonly #byTopic = new Map<string, Set<string>>()
  readonly #byNode = new Map<string, Topics>()

  /** The nodes that listen to a topic. */
  of(topic: string): ReadonlySet<string> {
    return this.#byTopic.get(topic) ?? nobody
  }

  /** What a node listens to, in short. */
  digest(node: string): string {
    return (this.#byNode.get(node) ?? new Topics()).digest
  }

  add(topic: string, node: string, number: number): void {
    put(this.#byTopic, topic, node)
    const topics = this.#byNode.get(node) ?? new Topics()
    this.#byNode.set(node, topics)
    topics.add(topic, number)
  }

  /** The node does not listen any more, unless it has said later that it does. */
  remove(topic: string, node: string, number: number): void {
    const topics = this.#byNode.get(node)
    if (topics === undefined || topics.isAfter(topic, number)) return
    take(this.#byTopic, topic, node)
    topics.delete(topic)
  }

  /** The node says anew what it listens to; what it has said later than that stays. */
  removeBefore(node: string, number: number): void {
    for (const topic of this.#byNode.get(node)?.all ?? []) this.remove(topic, node, number)
  }

  /** The node is gone. */
  removeNode(node: string): void {
    this.removeBefore(node, Number.POSITIVE_INFINITY)
    this.#byNode.delete(node)
  }
}

const put = (index: Map<string, Set<string>>, key: string, value: string): void => {
  const values = index.get(key)
  if (values === undefined) index.set(key, new Set([value]))
  else values.add(value)
}

const take = (index: Map<string, Set<string>>, key: string, value: string): void => {
  const values = index.get(key)
  values?.delete(value)
  if (values?.size === 0) index.delete(key)
}
