/**
 * Names on the bus: one topic for each key of each channel, under the namespace of the application.
 */
import { createHash } from "node:crypto"

/** A bus takes no longer name. */
const maxLength = 200

/** Where messages for one node go that nobody else wants. */
export const inboxOf = (namespace: string, node: string): string => `${namespace}/for/${node}`

/** The topic of a key. Names too long for a bus are hashed; neither namespace nor channel has a slash before a key. */
export const topicOf = (namespace: string, channel: string, identifier: string): string => {
  const topic = `${namespace}/key/${channel.replaceAll("/", ":")}/${identifier}`
  if (topic.length <= maxLength) return topic
  return `${namespace}/long/${createHash("sha256").update(topic).digest("base64url")}`
}
