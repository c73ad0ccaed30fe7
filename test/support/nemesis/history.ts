/**
 * What 300 clients have said and heard, with the time of it on one clock. Knows nothing of promises: `checker.ts` does.
 *
 * A connection is a publisher and a reader; a client that connects again is another one. A feed is one way of being told
 * what is said in one room: `line/red` is the channel, `hall/red` the room's events.
 */

/** How far a publish got, as the server has answered; `"here"` where it says no more than that this node has it. */
export type Reached = "everyone" | "local-only" | "here"

/** Something a connection has said. */
export interface Publish {
  readonly by: string
  readonly feed: string
  /** Counts what the connection has said to the feed, from one on. */
  readonly seq: number
  readonly sentAt: number
  reached: Reached | undefined
}

/** What a connection has heard in one feed, in its place. */
export type Item =
  | { readonly by: string; readonly seq: number }
  | { readonly missed: number; readonly reason: "slow" | "network" }

/** One connection of a client. */
export interface Connection {
  readonly id: string
  /** The run of a node it is connected to. */
  readonly life: string
  readonly feeds: ReadonlyArray<string>
  readonly beganAt: number
  /** Since when it is in all feeds. */
  enteredAt: number | undefined
  closedAt: number | undefined
  readonly heard: Map<string, Array<Item>>
}

/** One run of a node, from its start to its end. */
export interface Life {
  readonly id: string
  endedAt: number | undefined
}

export class History {
  /** Where times begin for people. */
  startedAt = 0
  readonly lives = new Map<string, Life>()
  readonly connections = new Map<string, Connection>()
  /** By feed and publisher, in order. */
  readonly publishes = new Map<string, Map<string, Array<Publish>>>()

  begin(id: string): Life {
    const life: Life = { id, endedAt: undefined }
    this.lives.set(id, life)
    return life
  }

  connect(id: string, life: string, feeds: ReadonlyArray<string>, beganAt: number): Connection {
    const heard = new Map(feeds.map((feed) => [feed, []]))
    const connection: Connection = { id, life, feeds, beganAt, enteredAt: undefined, closedAt: undefined, heard }
    this.connections.set(id, connection)
    return connection
  }

  /** A connection is about to say something. */
  publish(by: string, feed: string, sentAt: number): Publish {
    const ofFeed = this.publishes.get(feed) ?? new Map<string, Array<Publish>>()
    this.publishes.set(feed, ofFeed)
    const own = ofFeed.get(by) ?? []
    ofFeed.set(by, own)
    const publish: Publish = { by, feed, seq: own.length + 1, sentAt, reached: undefined }
    own.push(publish)
    return publish
  }

  find(by: string, feed: string, seq: number): Publish | undefined {
    return this.publishes.get(feed)?.get(by)?.[seq - 1]
  }

  hear(connection: Connection, feed: string, item: Item): void {
    const heard = connection.heard.get(feed)
    if (heard === undefined) connection.heard.set(feed, [item])
    else heard.push(item)
  }

  /** All that was said. */
  get said(): ReadonlyArray<Publish> {
    return Array.from(this.publishes.values(), (ofFeed) => Array.from(ofFeed.values()).flat()).flat()
  }
}
