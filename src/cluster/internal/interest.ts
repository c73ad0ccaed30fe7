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
  readonly #topics = new Set<string>()
  #hash = 0

  get all(): ReadonlyArray<string> {
    return Array.from(this.#topics)
  }

  get digest(): string {
    return `${this.#topics.size} ${this.#hash}`
  }

  add(topic: string): void {
    if (this.#topics.has(topic)) return
    this.#topics.add(topic)
    this.#hash ^= hashOf(topic)
  }

  delete(topic: string): void {
    if (this.#topics.delete(topic)) this.#hash ^= hashOf(topic)
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

  add(topic: string, node: string): void {
    put(this.#byTopic, topic, node)
    const topics = this.#byNode.get(node) ?? new Topics()
    this.#byNode.set(node, topics)
    topics.add(topic)
  }

  remove(topic: string, node: string): void {
    take(this.#byTopic, topic, node)
    this.#byNode.get(node)?.delete(topic)
  }

  /** The node is gone, or listens to nothing. */
  removeNode(node: string): void {
    for (const topic of this.#byNode.get(node)?.all ?? []) take(this.#byTopic, topic, node)
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
