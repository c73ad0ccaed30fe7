/**
 * Which other nodes listen to which topic, as they have said themselves.
 *
 * What nobody listens to need not travel, and what one node listens to travels with everything else for that node.
 */

const nobody: ReadonlySet<string> = new Set()

export class Interest {
  readonly #byTopic = new Map<string, Set<string>>()
  readonly #byNode = new Map<string, Set<string>>()

  /** The nodes that listen to a topic. */
  of(topic: string): ReadonlySet<string> {
    return this.#byTopic.get(topic) ?? nobody
  }

  add(topic: string, node: string): void {
    put(this.#byTopic, topic, node)
    put(this.#byNode, node, topic)
  }

  remove(topic: string, node: string): void {
    take(this.#byTopic, topic, node)
    take(this.#byNode, node, topic)
  }

  /** The node is gone. */
  removeNode(node: string): void {
    for (const topic of this.#byNode.get(node) ?? nobody) take(this.#byTopic, topic, node)
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
