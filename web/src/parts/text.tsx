import type { Piece } from "../types";

/** A text whose numbers lead to where they come from. */
export function Told({ pieces, onSource }: { pieces: Piece[]; onSource?: (source: string) => void }) {
  return (
    <>
      {pieces.map((piece, place) =>
        piece.source === null ? (
          <span key={place}>{piece.text}</span>
        ) : onSource ? (
          <button
            key={place}
            type="button"
            className="num"
            title={`${String(piece.value)} — where it comes from`}
            onClick={(event) => {
              event.stopPropagation();
              onSource(piece.source ?? "");
            }}
          >
            {piece.text}
          </button>
        ) : (
          <span key={place} className="num" title={String(piece.value)}>
            {piece.text}
          </span>
        ),
      )}
    </>
  );
}
