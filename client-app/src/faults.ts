/** What to tell a reader when a request of the page was refused. */

import type { ErrorMessage } from './protocol'

/** After how many milliseconds what was refused with `fault` is worth asking for again; null if never. */
export function retryAfter(fault: unknown): number | null {
  const { retryable, retry_after_ms } = fault as Partial<ErrorMessage>
  return retryable ? (retry_after_ms ?? 3_000) : null
}

/** One sentence about `fault`, which came instead of `what` (such as `candles`). */
export function sentenceFor(fault: unknown, what: string): string {
  const { code, message } = fault as Partial<ErrorMessage>
  switch (code) {
    case 'unknown_action':
      return `This server does not offer ${what}.`
    case 'unavailable':
      return `There are no ${what} for this instrument right now.`
    case 'rate_limited':
      return `The server asks for a pause before it sends ${what}.`
    case undefined:
      return `The ${what} could not be shown.`
    default:
      return `The server did not send ${what}: ${message ?? code}.`
  }
}
