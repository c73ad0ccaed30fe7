/**
 * Counters of the channels; labelled by channel, never by key.
 */
import * as Metric from "effect/Metric"

/** `onPublish` hooks that failed or died, and publishes that found the hook's queue full. */
export const hookFailures = Metric.counter("effect_rooms_channel_hook_failures", {
  description: "onPublish hooks that failed, died or were dropped because the queue was full",
  incremental: true
})
