/** What to tell a reader when a request of the page was refused. */

import type { ErrorMessage } from './protocol'

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
