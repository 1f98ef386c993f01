package dataset

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
)

// Whether a dataset is there may hang on a switch of its service, of which zfsprops(7) says nothing.
func TestHintNamesWhatADatasetHangsOn(t *testing.T) {
	require.Equal(t, "mend services.app, on which it hangs", unknownFault("tank/app", "canmount", stateward.Unknown{Subject: "services.app", Kind: stateward.UnknownForm}).Hint)
	require.Empty(t, unknownFault("tank/app", "canmount", stateward.Unknown{Subject: "services.app.dataset.canmount", Kind: stateward.UnknownForm}).Hint)
}
