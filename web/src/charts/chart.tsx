import { lazy, Suspense } from "react";
import { Loading } from "../parts/states";
import type { ChartProps } from "./canvas";

export type { Builder, Option } from "./canvas";

const Canvas = lazy(() => import("./canvas"));

/** A chart; what draws it is loaded with the first one. */
export function Chart(props: ChartProps) {
  return (
    <Suspense fallback={<Loading what="Figure" />}>
      <Canvas {...props} />
    </Suspense>
  );
}
