/**
 * Names on the bus: one topic for each key of each channel, under the namespace of the application.
 */
import { createHash } from "node:crypto"

/** A bus takes no longer name. */
const maxLength = 200

/** Where messages for one node go that nobody else wants. */
export const inboxOf = (namespace: string, node: string): string => `${namespace}/for/${node}`

/** A name of a channel without a slash; other names have others. */
const withoutSlash = (name: string): string => name.replaceAll("~", "~~").replaceAll(":", "~:").replaceAll("/", ":")

/** The topics of a channel, by key. Names too long for a bus are hashed; no namespace or channel has a slash in it. */
export const topicsOf = (namespace: string, channel: string): ((identifier: string) => string) => {
  const prefix = `${namespace}/key/${withoutSlash(channel)}/`
  return (identifier) => {
    const topic = prefix + identifier
    if (topic.length <= maxLength) return topic
    return `${namespace}/long/${createHash("sha256").update(topic).digest("base64url")}`
  }
}
