import type { Look } from "./source";

/** Stand-in until the server has threads. */
export interface Chat {
  available: boolean;
}

export function useChat(): Chat {
  return { available: false };
}

export function ChatPanel(_: { chat: Chat; run: string; onLook: (look: Look) => void; onClose: () => void; over: boolean }) {
  return null;
}
