import { readonly, ref, type Ref } from 'vue'

const text = ref('')

/** What a screen reader is told without being asked: few things, politely. */
export function useAnnouncer(): { text: Readonly<Ref<string>>; say: (sentence: string) => void } {
  return {
    text: readonly(text),
    say(sentence) {
      text.value = sentence
    },
  }
}
