/** What this reader has chosen, kept in this browser only. */

import { defineStore } from 'pinia'
import { ref, shallowRef, watch, watchEffect } from 'vue'

export type Theme = 'auto' | 'light' | 'dark'
export type SortKey = 'listed' | 'symbol' | 'last' | 'change' | 'spread' | 'age'
export interface Sort {
  key: SortKey
  descending: boolean
}

const KEY = 'tickwire'
const THEMES: readonly Theme[] = ['auto', 'light', 'dark']

interface Kept {
  theme?: Theme
  favourites?: string[]
}

function read(): Kept {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '{}') as Kept
  } catch {
    return {} // storage may be forbidden, or hold what somebody else wrote: begin without
  }
}

export const usePreferencesStore = defineStore('preferences', () => {
  const kept = read()
  const theme = ref<Theme>(THEMES.find((word) => word === kept.theme) ?? 'auto')
  const favourites = shallowRef<ReadonlySet<string>>(
    new Set(Array.isArray(kept.favourites) ? kept.favourites.filter((symbol) => typeof symbol === 'string') : []),
  )
  const sort = shallowRef<Sort>({ key: 'listed', descending: false })

  watch([theme, favourites], () => {
    try {
      localStorage.setItem(KEY, JSON.stringify({ theme: theme.value, favourites: [...favourites.value] }))
    } catch {
      // Without storage the choice lasts as long as the page.
    }
  })
  watchEffect(() => {
    if (theme.value === 'auto') delete document.documentElement.dataset['theme']
    else document.documentElement.dataset['theme'] = theme.value
  })

  function changeTheme(): void {
    theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'auto'
  }

  function toggleFavourite(symbol: string): void {
    const changed = new Set(favourites.value)
    if (!changed.delete(symbol)) changed.add(symbol)
    favourites.value = changed
  }

  /** Sort by `key`: first the way people look for it, then the other way round, then as listed. */
  function changeSort(key: SortKey): void {
    const descendsFirst = key !== 'symbol' && key !== 'age'
    if (sort.value.key !== key) sort.value = { key, descending: descendsFirst }
    else if (sort.value.descending === descendsFirst) sort.value = { key, descending: !descendsFirst }
    else sort.value = { key: 'listed', descending: false }
  }

  return { theme, favourites, sort, changeTheme, toggleFavourite, changeSort }
})
