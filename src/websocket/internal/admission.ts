/**
 * Who may connect: how many there are of the server, of an address and of a user, and how often an address asks.
 */
import * as Net from "node:net"
import type { AnyRef } from "../../Ref.ts"
import type { Limits } from "../Limits.ts"
import { Bucket } from "./bucket.ts"
import { Parties, type Party } from "./parties.ts"
import { Rates } from "./rates.ts"

/** Which bound one more connection would be over. */
export type Excess = "server" | "address" | "user"

class Address implements Party {
  readonly #upgrades: Bucket

  constructor({ upgradeBurst, upgradesPerSecond }: Limits, now: number) {
    this.#upgrades = new Bucket(upgradesPerSecond, upgradeBurst, now)
  }

  ask(now: number): boolean {
    return this.#upgrades.take(1, now)
  }

  rested(now: number): boolean {
    return this.#upgrades.isFull(now)
  }
}

export class Admission {
  readonly #limits: Limits
  readonly #addresses: Parties<Address>
  readonly #users: Parties<Rates>
  #connections = 0

  constructor(limits: Limits) {
    this.#limits = limits
    this.#addresses = new Parties((now) => new Address(limits, now))
    this.#users = new Parties((now) => new Rates(limits, limits.userRateFactor, now))
  }

  /** How many addresses and users are remembered. */
  get size(): number {
    return this.#addresses.size + this.#users.size
  }

  /** Takes one of the upgrades an address may ask for; false when there is none left. */
  ask(address: string, now: number): boolean {
    return this.#addresses.of(networkOf(address), now).ask(now)
  }

  /** What one more connection would be over, if anything. */
  excess(address: string, user: AnyRef | undefined): Excess | undefined {
    const { maxConnections, maxConnectionsPerAddress, maxConnectionsPerUser } = this.#limits
    if (this.#connections >= maxConnections) return "server"
    if (this.#addresses.connections(networkOf(address)) >= maxConnectionsPerAddress) return "address"
    if (user !== undefined && this.#users.connections(userKey(user)) >= maxConnectionsPerUser) return "user"
    return undefined
  }

  /** Counts a connection, in the step in which `excess` was asked; what is returned counts it out. */
  enter(address: string, user: AnyRef | undefined, now: number): () => void {
    const network = networkOf(address)
    const name = user && userKey(user)
    this.#connections++
    this.#addresses.enter(network, now)
    if (name !== undefined) this.#users.enter(name, now)
    return () => {
      this.#connections--
      this.#addresses.leave(network)
      if (name !== undefined) this.#users.leave(name)
    }
  }

  /** The rates all connections of a user share. */
  ratesOf(user: AnyRef, now: number): Rates {
    return this.#users.of(userKey(user), now)
  }

  /** Drops what there is no need to remember; to be called now and then. */
  forget(now: number): void {
    this.#addresses.forget(now)
    this.#users.forget(now)
  }
}

const userKey = ({ entity, identifier }: AnyRef): string => `${entity}:${identifier}`

/**
 * What counts as one address: whoever has one IPv6 address has all with the same first 64 bits. Behind a proxy it may be
 * any text.
 */
export const networkOf = (address: string): string => {
  if (!Net.isIPv6(address)) return address.slice(0, 64)
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)
  if (mapped !== null) return mapped[1]!
  const [head, tail] = address.split("%")[0]!.split("::") as [string, string | undefined]
  const groups = groupsOf(head)
  const last = groupsOf(tail ?? "")
  const zeros = tail === undefined ? 0 : 8 - groups.length - last.length
  return [...groups, ...Array.from({ length: zeros }, () => "0"), ...last].slice(0, 4).join(":")
}

/** A dotted end stands for two groups. */
const groupsOf = (text: string): ReadonlyArray<string> =>
  text === ""
    ? []
    : text.split(":").flatMap((group) => (group.includes(".") ? ["0", "0"] : [Number.parseInt(group, 16).toString(16)]))
