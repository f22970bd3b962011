/** Who is behind the names that quotes and status messages carry. */

export interface Provider {
  name: string
  url?: string
}

/** What is shown beside what is marked `proxy`. */
export const PROXY = 'The price of something else that goes with it, such as a token of gold for gold'

const PROVIDERS: Record<string, Provider> = {
  binance: { name: 'Binance', url: 'https://www.binance.com' },
  kraken: { name: 'Kraken', url: 'https://www.kraken.com' },
  'gold-api': { name: 'gold-api.com', url: 'https://gold-api.com' },
  swissquote: { name: 'Swissquote', url: 'https://www.swissquote.com' },
  frankfurter: { name: 'Frankfurter', url: 'https://frankfurter.dev' },
  simulated: { name: 'a simulated exchange' },
  replay: { name: 'a recording' },
}

/** The provider that calls itself `key` in a quote, or `provider.key` as a component. */
export function providerOf(key: string): Provider {
  const name = key.replace(/^provider\./, '')
  return PROVIDERS[name] ?? { name }
}
