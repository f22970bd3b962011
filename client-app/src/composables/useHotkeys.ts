import { onBeforeUnmount, onMounted } from 'vue'

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))

/**
 * Run a function for a key, while the component is mounted.
 *
 * Keys with a modifier belong to the browser; letters typed into a field belong to the field, Escape to both.
 */
export function useHotkeys(keys: Record<string, (event: KeyboardEvent) => void>): void {
  const press = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
    if (isTyping(event.target) && event.key !== 'Escape') return
    keys[event.key]?.(event)
  }
  onMounted(() => {
    addEventListener('keydown', press)
  })
  onBeforeUnmount(() => {
    removeEventListener('keydown', press)
  })
}
